"""An event loop whose time passes as fast as nothing happens: what waits for an hour is awake at once, an hour later."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any


class _Skipping(selectors.DefaultSelector):
    """Never waits; tells the loop how long it would have."""

    skipped = 0.0

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout:
            self.skipped += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at 0 and stands still while anything runs. Only for code that waits for nothing outside."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def clock(begin: datetime):
    """Give a wall clock that follows the running loop."""
    return lambda: begin + timedelta(seconds=asyncio.get_running_loop().time())
