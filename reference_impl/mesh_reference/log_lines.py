"""A log handler for a process that logs a line per request: lines are written together, twenty times a second at most.

A write for each line costs a busy control plane more than the line itself, for each gives the interpreter away. Warnings and
errors are written at once, with all that came before them. It deliberately drops nothing and knows no format.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TextIO

PAUSE_SECONDS = 0.05
"""How long a line below WARNING may wait; a process that is killed loses what it had not written."""
MOST_LINES = 1000
"""Written at once when there are so many."""


FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(level: str, stream: TextIO | None = None) -> None:
    """Log from ``level`` on to ``stream``, gathered. What the format does not show is not looked up for each line."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - so says logging's manual, "Optimization"
    logging.basicConfig(level=level.upper(), format=FORMAT, force=True, handlers=[GatheredLines(stream)])


class GatheredLines(logging.Handler):
    """Writes to ``stream`` (default: stderr). Outside an event loop every line is written at once."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._lines: list[str] = []
        self._timed: asyncio.AbstractEventLoop | None = None
        """The loop that will call; another one, or none, has to be asked."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's line, and see to it that it is written. The caller holds the handler's lock."""
        try:
            self._lines.append(f"{self.format(record)}\n")
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
                return
            if record.levelno >= logging.WARNING or len(self._lines) >= MOST_LINES:
                self.flush()
            elif self._timed is not loop:
                self._timed = loop
                loop.call_later(PAUSE_SECONDS, self._due)
        except Exception:  # noqa: BLE001 - as logging's own handlers: a log line never breaks its sender
            self.handleError(record)

    def flush(self) -> None:
        """Write what is there."""
        with self.lock:  # type: ignore[union-attr]  # only None before the constructor ends
            text, self._lines = "".join(self._lines), []
            if text:
                self._stream.write(text)
                self._stream.flush()

    def _due(self) -> None:
        self._timed = None
        self.flush()
