"""The live line of a terminal, and the slowest waits: what a process of the run does with what phases tell.

On a terminal one line below pytest's own is drawn anew a few times a second and
taken away before pytest writes. Elsewhere nothing is drawn. A worker leaves its
line in a file of the run's directory, and the controller draws it.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_mesh.progress import Status

QUIET_SECONDS: Final = 0.5
"""How long a phase runs before it is shown: shorter ones need no line."""
_REDRAW_SECONDS: Final = 0.2
_MOST_WAITS: Final = 5
"""Waits that one test keeps: its longest."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
Draw = Callable[[str], None]
"""Takes the line; an empty one takes it away."""


class TerminalLine:
    """One line of a terminal, below the one that pytest writes."""

    def __init__(self, descriptor: int, flush: Callable[[], None]) -> None:
        self._descriptor = os.dup(descriptor)  # pytest's capturing takes the original away while a test runs
        self._flush = flush
        self._drawn = False
        self._lock = threading.Lock()

    def draw(self, text: str) -> None:
        """Show a line, or none."""
        with self._lock, contextlib.suppress(OSError):  # a terminal that is gone ends no run
            if not text:
                self._erase()
                return
            self._flush()
            shown = _CONTROL.sub("?", text)[: os.get_terminal_size(self._descriptor).columns - 1]
            # Down and up make room at the bottom; then: keep the place, go down, write, go back.
            self._write(f"\x1bD\x1bM\x1b7\x1bD\r{shown}\x1b[K\x1b8")
            self._drawn = True

    def close(self) -> None:
        """Take the line away for good."""
        with self._lock:
            with contextlib.suppress(OSError):
                self._erase()
            os.close(self._descriptor)
            self._descriptor = -1

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            self._flush()
            self._write("\x1b[J")

    def _write(self, text: str) -> None:
        if self._descriptor >= 0:
            os.write(self._descriptor, text.encode())


class RunMonitor:
    """Takes what the phases of this process's tests tell."""

    def __init__(self, draw: Draw | None) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._test = ""
        self._begun: dict[str, tuple[float, int]] = {}
        """By phase: when it was shown first, and how much was done then."""
        self._drawn = 0.0
        self._waits: list[tuple[float, str]] = []

    def begin(self, test: str) -> None:
        """Forget the test before; what comes is of this one."""
        with self._lock:
            self._test, self._begun, self._waits = test, {}, []

    def show(self, status: Status) -> None:
        """Draw the status when its phase is no short one, and not too often."""
        if self._draw is None:
            return
        now = time.monotonic()
        with self._lock:
            begun, first = self._begun.setdefault(status.phase, (now, status.done or 0))
            elapsed = now - begun
            if elapsed < QUIET_SECONDS or now - self._drawn < _REDRAW_SECONDS:
                return
            self._drawn = now
            self._draw(f"mesh: {self._test}: {status.line(elapsed, first=first)}")

    def waited(self, what: str, seconds: float) -> None:
        """Keep the wait if it is one of the test's longest."""
        with self._lock:
            self._waits = sorted([*self._waits, (seconds, what)], reverse=True)[:_MOST_WAITS]

    def clear(self) -> None:
        """Take the line away: somebody is about to write, or the phase is over."""
        if self._draw is not None:
            with self._lock:
                self._draw("")

    def waits(self) -> list[tuple[float, str]]:
        """Give the test's longest waits so far, the longest first."""
        with self._lock:
            return list(self._waits)


class Curtain:
    """A plugin of the controller: takes the line away before pytest's reporter writes."""

    def __init__(self, line: TerminalLine) -> None:
        self._line = line

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Before a test's name."""
        self._line.draw("")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """Before a dot or a word."""
        self._line.draw("")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self) -> None:
        """Before the percentage."""
        self._line.draw("")


def terminal_line(reporter: Any) -> TerminalLine | None:
    """Give the line of the terminal that pytest's reporter writes to; None where that is no terminal, or a dumb one."""
    if reporter is None or reporter.verbosity < 0 or os.environ.get("TERM", "dumb") == "dumb":
        return None
    file = reporter._tw._file  # noqa: SLF001 - pytest gives no other way to it
    if not (hasattr(file, "isatty") and file.isatty()):
        return None
    return TerminalLine(file.fileno(), reporter.flush)


def leave_in(path: Path) -> Draw:
    """Give what writes the line into a file, whole or not at all, and removes the file for an empty one."""

    def draw(text: str) -> None:
        if not text:
            path.unlink(missing_ok=True)
            return
        partial = path.with_suffix(".part")
        partial.write_text(text)
        partial.rename(path)

    return draw
