"""Prints on the controller what workers leave in the run's directory: lines for good, and each worker's live line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from pytest_mesh.monitor import Draw

LINES = "progress.log"
LIVE = "live"
"""Directory with a file for each worker that is in a long phase."""
_POLL_SECONDS = 0.1
_LIVE_POLLS = 3
"""Polls between two looks at the live lines."""


class ProgressRelay:
    """Follows the run's directory in a thread until it is closed. Without ``draw`` live lines are left alone."""

    def __init__(self, directory: Path, write: Callable[[str], None], draw: Draw | None = None) -> None:
        self._path = directory / LINES
        self._live = directory / LIVE
        self._live.mkdir(exist_ok=True)
        self._write = write
        self._draw = draw
        self._stop = threading.Event()
        self._position = 0
        self._thread = threading.Thread(target=self._follow, name="mesh-progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Print what is left and end."""
        self._stop.set()
        self._thread.join()
        self._read()

    def _follow(self) -> None:
        polls = 0
        while not self._stop.wait(_POLL_SECONDS):
            self._read()
            polls += 1
            if self._draw is not None and polls % _LIVE_POLLS == 0:
                self._draw(self._live_line())

    def _live_line(self) -> str:
        """Give one worker's line, another one each second; a line has no room for all of them."""
        paths = sorted(self._live.glob("*.line"))
        if not paths:
            return ""
        path = paths[int(time.monotonic()) % len(paths)]
        try:
            return f"[{path.stem}] {path.read_text()}"
        except FileNotFoundError:  # the phase ended meanwhile
            return ""

    def _read(self) -> None:
        try:
            with self._path.open() as file:
                file.seek(self._position)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind("\n") + 1]
        self._position += len(whole.encode())
        for line in whole.splitlines():
            self._write(line)
