"""Pipes and terminals between the node and a process: pumping output, feeding input, collecting.

Plumbing only: nothing here knows containers' states or logs' format.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_mesh.clusters.local.node.blueprints import Command
    from pytest_mesh.clusters.local.node.runtime import Process, Runtime

_CHUNK: Final = 65536
_PIPE: Final = 1 << 20
"""Bytes that a pipe holds at most (/proc/sys/fs/pipe-max-size)."""
_DRAIN_SECONDS: Final = 1.0
"""How long output may lag behind a process's end: a grandchild can hold the pipe open."""


class Pump:
    """Reads a descriptor, hands each chunk to ``take``, closes it at its end."""

    def __init__(self, fd: int, take: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._take = take
        self._left: int | None = None
        """How many bytes it still reads; None = all that come."""
        self.ended = asyncio.Event()
        os.set_blocking(fd, False)
        self.go_on()

    def hold(self) -> None:
        """Read no more for a while: whoever writes waits."""
        if not self.ended.is_set() and self._left is None:
            asyncio.get_running_loop().remove_reader(self._fd)

    def go_on(self) -> None:
        """Read, again."""
        if not self.ended.is_set():
            asyncio.get_running_loop().add_reader(self._fd, self._read)

    def finish(self) -> None:
        """Read what a process that has ended left behind, whoever may hold: not more than a pipe can hold."""
        self._left = _PIPE
        self.go_on()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal whose last process has gone answers EIO
        if data:
            self._take(data)
            if self._left is not None:
                self._left -= len(data)
        if not data or (self._left is not None and self._left <= 0):
            self.close()

    def close(self) -> None:
        """Stop reading. Idempotent."""
        if not self.ended.is_set():
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self.ended.set()


class Stdio:
    """The descriptors of one process: pipes, or one terminal for all three."""

    def __init__(self, take: Callable[[str, bytes], None], *, stdin: bool, tty: bool) -> None:
        self.theirs: list[int] = []
        """For the child, in order; to be closed here once it has them."""
        self.pumps: list[Pump] = []
        self._input = -1
        self.terminal = -1
        self._holding: set[object] = set()
        if tty:
            master, slave = os.openpty()
            self.theirs = [slave]
            self.terminal = master
            self._input = os.dup(master)
            self.pumps.append(Pump(master, lambda data: take("stdout", data)))
        else:
            if stdin:
                reader, self._input = os.pipe2(os.O_CLOEXEC)
            else:
                reader = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            self.theirs.append(reader)
            for name in ("stdout", "stderr"):
                ours, theirs = os.pipe2(os.O_CLOEXEC)
                self.theirs.append(theirs)
                self.pumps.append(Pump(ours, lambda data, name=name: take(name, data)))  # type: ignore[misc]

    @contextlib.contextmanager
    def handed_over(self) -> Iterator[tuple[int, int, int]]:
        """Give the child's descriptors; they are closed here afterwards."""
        try:
            first, second, third = (self.theirs * 3)[:3] if len(self.theirs) == 1 else self.theirs
            yield first, second, third
        finally:
            for fd in self.theirs:
                os.close(fd)
            self.theirs = []

    async def feed(self, data: bytes) -> None:
        """Write to the process's input; nothing happens when it is closed."""
        view = memoryview(data)
        while view and self._input >= 0:
            os.set_blocking(self._input, False)
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await asyncio.sleep(0.005)
            except OSError:
                self.close_input()

    def close_input(self) -> None:
        """Let the process read its input's end. Idempotent."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def resize(self, width: int, height: int) -> None:
        """Set the terminal's size, if there is one."""
        if self.terminal >= 0 and not self.pumps[0].ended.is_set():
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def hold(self, who: object) -> None:
        """Read no output while ``who`` cannot take more of it: the process waits where it writes."""
        if who not in self._holding:
            self._holding.add(who)
            for pump in self.pumps:
                pump.hold()

    def release(self, who: object) -> None:
        """Read output again, as far as ``who`` is concerned. Idempotent."""
        if who in self._holding:
            self._holding.discard(who)
            for pump in self.pumps if not self._holding else ():
                pump.go_on()

    async def drain(self) -> None:
        """Wait until what an ended process left is read, not for ever, then close everything."""
        self.close_input()
        for pump in self.pumps:
            pump.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                for pump in self.pumps:
                    await pump.ended.wait()
        self.close()

    def close(self) -> None:
        """Close everything. Idempotent."""
        self.close_input()
        for pump in self.pumps:
            pump.close()


async def collect(
    runtime: Runtime, container: Process, command: Command, *, seconds: float, limit: int = 10240
) -> tuple[int, str]:
    """Run a command in a container and give its code and output; TimeoutError (after a kill) when it takes longer."""
    output = bytearray()

    def take(_: str, data: bytes) -> None:
        output.extend(data[: limit - len(output)])

    stdio = Stdio(take, stdin=False, tty=False)
    process = None
    try:
        async with asyncio.timeout(seconds):
            with stdio.handed_over() as fds:
                process = await runtime.execute(container, command, fds)
            code = await asyncio.shield(process.exited)
        await stdio.drain()
        return code, output.decode(errors="replace")
    finally:
        if process is not None:
            process.signal(9)
        stdio.close()
