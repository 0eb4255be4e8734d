"""Containers' output on disk, in the CRI's format, and reading it back.

One file per container run: ``<RFC 3339 nano> <stdout|stderr> <F|P> <text>``,
P for a part of a line longer than 16 KiB and for a last line without newline. Old runs stay until the pod goes;
nothing rotates.
"""

from __future__ import annotations

import asyncio
import collections
import datetime as dt
import os
import time
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

_PART: Final = 16384
_NEAR: Final = 65536
"""Bytes of a log that are read through rather than searched."""


def timestamp(nanoseconds: int) -> str:
    """Write a Unix time in nanoseconds as RFC 3339 with nine digits, UTC."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09d}Z"


class RunLog:
    """The log file of one run of one container, as it is written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.closed = False
        self.listeners: set[Callable[[str, bytes], None]] = set()
        """Who is attached, called with stream and bytes as they come; with an empty chunk when the run has ended."""
        self._file = path.open("ab", buffering=0)
        self._pending = {"stdout": b"", "stderr": b""}
        self._changed = asyncio.Event()

    def write(self, stream: str, data: bytes) -> None:
        """Take what the container wrote to ``stdout`` or ``stderr``."""
        for listener in self.listeners:
            listener(stream, data)
        stamp = f"{timestamp(time.time_ns())} {stream} ".encode()
        *lines, rest = (self._pending[stream] + data).split(b"\n")
        out = bytearray()
        for line in lines:
            out += b"".join(stamp + b"P " + part + b"\n" for part in _parts(line)[:-1])
            out += stamp + b"F " + _parts(line)[-1] + b"\n"
        while len(rest) >= _PART:
            out += stamp + b"P " + rest[:_PART] + b"\n"
            rest = rest[_PART:]
        self._pending[stream] = rest
        if out:
            self._file.write(out)
            self._notify()

    def close(self) -> None:
        """Write what has no newline yet and end the followers. Idempotent."""
        if self.closed:
            return
        for stream, rest in self._pending.items():
            if rest:
                self._file.write(f"{timestamp(time.time_ns())} {stream} P ".encode() + rest + b"\n")
        self._file.close()
        self.closed = True
        for listener in self.listeners:
            listener("", b"")
        self._notify()

    async def changed(self) -> None:
        """Wait until something is written or the log is closed."""
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + _PART] for start in range(0, len(line), _PART)] or [b""]


async def read(
    path: Path,
    run: RunLog | None,
    *,
    follow: bool = False,
    tail: int | None = None,
    since: str = "",
    timestamps: bool = False,
    limit: int | None = None,
) -> AsyncIterator[bytes]:
    """Give the log as ``kubectl logs`` shows it, in chunks.

    ``since`` is an RFC 3339 time, ``tail`` counts lines from the end, ``limit``
    bytes from the start. ``follow`` goes on until ``run`` ends.
    """
    left = limit
    with path.open("rb") as file:
        _seek(file, since)
        lines = [line for line in file.readlines() if line[:30].decode() >= since]
        if tail is not None:
            lines = _tail(lines, tail)
        while True:
            chunk = b"".join(shown(line, timestamps=timestamps) for line in lines)[:left]
            if left is not None:
                left -= len(chunk)
            if chunk:
                yield chunk
            if not follow or left == 0:
                return
            lines = file.readlines()
            if not lines:
                if run is None or run.closed:
                    return
                await run.changed()
                lines = file.readlines()


def _seek(file: BinaryIO, since: str) -> None:
    """Go to a line's beginning, before the first one of ``since`` and near it: lines stand by their time."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while since and high - low > _NEAR:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()
        start = file.tell()
        line = file.readline()
        if line and line[:30].decode() < since:
            low = start
        else:
            high = middle
    file.seek(low)


def near_the_end(file: BinaryIO) -> None:
    """Go to the beginning of a line, so near the end that little is left to read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _NEAR))
    if size > _NEAR:
        file.readline()


def _tail(lines: list[bytes], count: int) -> list[bytes]:
    """Keep the last ``count`` whole lines, each with its parts."""
    kept: collections.deque[list[bytes]] = collections.deque(maxlen=count)
    whole: list[bytes] = []
    for line in lines:
        whole.append(line)
        if line.split(b" ", 3)[2] == b"F":
            kept.append(whole)
            whole = []
    if whole:
        kept.append(whole)
    return [line for lines in kept for line in lines]


def shown(line: bytes, *, timestamps: bool = False) -> bytes:
    """Give what the container wrote, from one line of the file; a part has no newline."""
    stamp, _, kind, text = line.split(b" ", 3)
    written = text if kind == b"F" else text[:-1]
    return stamp + b" " + written if timestamps else written
