"""Watches the API server and gathers what changed, until someone takes it as one snapshot.

It keeps the debounce, and says when the first lists are all in. What an event means is the index's business.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mesh_reference.model.snapshot import Change, MeshSnapshot
from mesh_reference.store.index import EVERYTHING, NOTHING, WATCHED, MeshIndex
from mesh_reference.store.scope import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh_reference.kube.resources import Resource
    from mesh_reference.kube.watching import Event
    from mesh_reference.settings import Settings

logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """The part of the Kubernetes client that is used here."""

    def watch(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Event]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One snapshot and how it differs from the one before. ``first_event`` is the loop's time of the oldest event in it."""

    snapshot: MeshSnapshot
    change: Change
    first_event: float


class MeshStore:
    """Run ``watch`` as a task and iterate ``updates`` in one other."""

    def __init__(self, kube: Watcher, settings: Settings) -> None:
        self._kube = kube
        self._settings = settings
        self.index = MeshIndex(settings.domain)
        self._scope = Scope(settings.discovery_selectors)
        self._pending = NOTHING
        self._first_event = 0.0
        self._last_event = 0.0
        self._last_update = 0.0
        self._changed = asyncio.Event()
        self._unsynced = {resource.plural for resource in (*self._scope.watched, *WATCHED)}
        self.synced = asyncio.Event()
        """Set when every first list is in: from here on a snapshot is whole."""

    async def watch(self) -> None:
        """Follow every watched resource; never returns."""
        async with asyncio.TaskGroup() as tasks:
            for resource in (*self._scope.watched, *WATCHED):
                tasks.create_task(self._follow(resource), name=f"watch {resource.plural}")

    async def _follow(self, resource: Resource) -> None:
        async for event in self._kube.watch(resource):
            if event.kind == "synced":
                self._note_synced(resource)
                continue
            for known, one in self._scope.take(resource, event):
                self.note(self.index.apply(known, one))

    def _note_synced(self, resource: Resource) -> None:
        self._unsynced.discard(resource.plural)
        if self._unsynced:
            logger.debug("waiting for the first list of %s", ", ".join(sorted(self._unsynced)))
        elif not self.synced.is_set():
            self.synced.set()
            self.note(EVERYTHING)

    def note(self, change: Change) -> None:
        """Add to what the next update will hold; nothing is handed out before the first lists are in."""
        if not change:
            return
        now = asyncio.get_running_loop().time()
        if not self._pending:
            self._first_event = now
        self._last_event = now
        self._pending |= change
        if self.synced.is_set():
            self._changed.set()

    def note_everything(self) -> None:
        """The settings changed: whatever is made of the mesh may differ."""
        self.note(EVERYTHING)

    async def updates(self) -> AsyncIterator[Update]:
        """Yield a snapshot after each burst of changes.

        A change that comes alone goes out after ``debounce_quiet``. One that comes within ``debounce_stream`` of the last
        update is of a stream: it waits for that long a quiet, and no longer than ``debounce_stream_max``.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            await self._settle()
            self._last_update = loop.time()
            self._changed.clear()
            change, self._pending = self._pending, NOTHING
            yield Update(snapshot=self.index.snapshot(), change=change, first_event=self._first_event)

    async def _settle(self) -> None:
        """Wait for quiet. A route to a subset that is not there yet waits longer: its DestinationRule may be on the way."""
        loop = asyncio.get_running_loop()
        known = self._settings
        streaming = self._first_event - self._last_update < known.debounce_stream
        quiet, longest = (
            (known.debounce_stream, known.debounce_stream_max)
            if streaming
            else (known.debounce_quiet, known.debounce_max)
        )
        deadline = self._first_event + longest
        while True:
            until = self._last_event + quiet
            if self.index.refers_to_nothing(self._pending):
                until = max(until, min(loop.time() + known.debounce_quiet, self._first_event + known.debounce_max))
            pause = min(until, deadline) - loop.time()
            if pause <= 0:
                return
            await asyncio.sleep(pause)
