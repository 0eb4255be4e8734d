"""Runs ``kind`` and ``docker``: where they are, what they answer, and in one line why they failed.

No shell is used, and nothing here knows what the programs are asked for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import IO, Final

DELETE_SECONDS: Final = 120.0
"""How long ``kind delete cluster`` may take."""
_END_SECONDS: Final = 10.0


class KindError(Exception):
    """The cluster or an image could not be had; the text says what, why and what to do."""


def find(name: str) -> str:
    """Give a program's path; raises KindError where it is not on PATH."""
    path = shutil.which(name)
    if path is None:
        raise KindError(f"{name} is not on PATH: {_HINTS[name]}")
    return path


_HINTS: Final = {
    "docker": "install Docker (https://docs.docker.com/engine/install/)",
    "kind": "install it (https://kind.sigs.k8s.io/docs/user/quick-start/#installation)",
}


def output(*argv: str, seconds: float = 60.0) -> str:
    """Run a program to its end and give its standard output; raises KindError with its last words."""
    try:
        done = subprocess.run(
            [find(argv[0]), *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KindError(f"{_short(argv)}: no answer within {seconds:g} s") from error
    except OSError as error:
        raise KindError(f"{_short(argv)}: {error}") from error
    if done.returncode:
        raise KindError(f"{_short(argv)}: exit code {done.returncode}: {last_words(done.stderr or done.stdout)}")
    return done.stdout


def follow(
    argv: Sequence[str],
    line: Callable[[str], None],
    *,
    feed: Callable[[IO[bytes]], None] | None = None,
    started: Callable[[int], None] = lambda _: None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a program in a session of its own and give each line that it prints while it runs.

    A Ctrl-C does not reach it by the terminal: whoever is interrupted here ends
    it first. ``feed`` writes its standard input; ``started`` gets its pid.
    Raises KindError with its last words.
    """
    try:
        process = subprocess.Popen(
            [find(argv[0]), *argv[1:]],
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    except OSError as error:
        raise KindError(f"{_short(argv)}: {error}") from error
    said: list[str] = []
    try:
        started(process.pid)
        if feed is not None and process.stdin is not None:
            # A program that ends early says why in its output, which is read next.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError), process.stdin as stream:
                feed(stream)
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        for raw in process.stdout:
            text = raw.decode(errors="replace").strip()
            if text:
                said.append(text)
                line(text)
        code = process.wait()
    except BaseException:
        end_group(process.pid, lambda: _ended(process))
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
    if code:
        raise KindError(f"{_short(argv)}: exit code {code}: {last_words(said)}")


def end_group(pid: int, ended: Callable[[], bool]) -> None:
    """Ask a process group to end, then make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        if ended():
            return


def last_words(text: str | Iterable[str]) -> str:
    """Give the last lines that say something, in one line."""
    lines = [one for raw in (text.splitlines() if isinstance(text, str) else text) if (one := raw.strip())]
    # kind's error begins with ERROR and goes on with what Docker said; then comes a stack trace for kind's developers.
    first = next((index for index, one in enumerate(lines) if one.startswith("ERROR")), None)
    telling = lines[-3:]
    if first is not None:
        telling = list(takewhile(lambda one: not one.startswith("Stack Trace"), lines[first:]))
    return (
        " | ".join(f"{one[:200]} … {one[-200:]}" if len(one) > 420 else one for one in telling)[-900:] or "no message"
    )


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _short(argv: Sequence[str]) -> str:
    return " ".join(argv[:3])
