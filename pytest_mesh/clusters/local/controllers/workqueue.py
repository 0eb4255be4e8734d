"""A queue of keys to reconcile: each key once, never twice at a time, again after an error.

Knows nothing of what a key stands for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable

from pytest_mesh.clusters.local.apiclient import ApiError

log = logging.getLogger(__name__)

Reconcile = Callable[..., Awaitable[float | None]]
"""Takes one key; gives None, or the seconds after which to look at it again."""

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 5.0


class WorkQueue:
    """Runs ``reconcile`` for every key added, ``parallel`` different keys at a time."""

    def __init__(self, name: str, reconcile: Reconcile, *, parallel: int = 8) -> None:
        self._name = name
        self._reconcile = reconcile
        self._parallel = parallel
        self._ready: asyncio.Queue[Hashable] = asyncio.Queue()
        self._wanted: set[Hashable] = set()
        self._running: set[Hashable] = set()
        self._failures: dict[Hashable, int] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def add(self, key: Hashable) -> None:
        """Reconcile ``key`` soon; many additions before it starts count as one."""
        if key in self._wanted:
            return
        self._wanted.add(key)
        if key not in self._running:
            self._ready.put_nowait(key)

    def add_after(self, key: Hashable, seconds: float) -> None:
        """Reconcile ``key`` after ``seconds``; of several such wishes the earliest counts."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        pending = self._timers.get(key)
        if pending is not None:
            if pending.when() <= when:
                return
            pending.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    async def run(self) -> None:
        """Work for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._parallel):
                    group.create_task(self._work(), name=f"{self._name}-{number}")
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _due(self, key: Hashable) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._wanted.discard(key)
            self._running.add(key)
            try:
                again = await self._reconcile(key)
            except ApiError as error:
                self._failed(key, error)
            except Exception as error:  # one object's fault must not stop the others
                log.exception("%s: %s", self._name, key)
                self._failed(key, error)
            else:
                self._failures.pop(key, None)
                if again is not None:
                    self.add_after(key, again)
            finally:
                self._running.discard(key)
                if key in self._wanted:
                    self._ready.put_nowait(key)

    def _failed(self, key: Hashable, error: Exception) -> None:
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        pause = min(_FIRST_PAUSE * 2 ** min(count, 20), _LONGEST_PAUSE)
        conflict = isinstance(error, ApiError) and error.status == 409
        level = logging.DEBUG if conflict and count < 5 else logging.WARNING
        log.log(level, "%s: %s: %s; again in %.2f s", self._name, key, error, pause)
        self.add_after(key, pause)
