"""The streams that are open, and the newest configuration for all of them. It serves nothing itself."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from mesh_reference.model.snapshot import Change
from mesh_reference.xds import metrics
from mesh_reference.xds.configuration import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh_reference.model.snapshot import MeshSnapshot
    from mesh_reference.settings import Settings
    from mesh_reference.xds.session import Session

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""So long after a stream has ended the views that nobody shares any more are dropped, for all that end until then."""


class Hub:
    """Made with the first whole snapshot: before that nobody can be served."""

    def __init__(self, snapshot: MeshSnapshot, settings: Settings) -> None:
        self.configuration = Configuration(snapshot, settings)
        self._sessions: set[Session] = set()
        self._streams_of: Counter[tuple[str, str]] = Counter()
        """By address and id: a proxy that comes again may be there twice for a while."""
        self._sweeping: asyncio.TimerHandle | None = None

    def publish(self, snapshot: MeshSnapshot, settings: Settings, change: Change, since: float) -> None:
        """Tell every stream. ``since``: the loop's time of the oldest event in it."""
        if settings != self.configuration.settings:
            change |= Change(full=True)
        try:
            self.configuration = self.configuration.succeeded_by(snapshot, settings, change)
        except Exception:  # what one change makes wrong must neither end istiod nor keep the rest from the proxies
            logger.exception("snapshot %d does not follow from the one before: all is made anew", snapshot.version)
            metrics.INTERNAL_ERRORS.inc()
            change |= Change(full=True)
            self.configuration = Configuration(snapshot, settings)
        metrics.SERVICES.set(len(snapshot.services))
        metrics.VIRTUAL_SERVICES.set(len(snapshot.virtual_services))
        logger.debug("snapshot %d: %s", snapshot.version, change)
        for session in self._sessions:
            session.notify(self.configuration, change, since)

    def add(self, session: Session) -> None:
        self._sessions.add(session)
        self._streams_of[session.proxy.address, session.proxy.id] += 1
        metrics.CONNECTED.set(len(self._sessions))

    def remove(self, session: Session) -> None:
        """Forget a stream that was added."""
        whose = (session.proxy.address, session.proxy.id)
        self._sessions.discard(session)
        self._streams_of[whose] -= 1
        if not self._streams_of[whose]:
            del self._streams_of[whose]
            self.configuration.forget(session.proxy)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        metrics.CONNECTED.set(len(self._sessions))

    def _sweep(self) -> None:
        self._sweeping = None
        self.configuration.keep_views(session.view_key for session in self._sessions)

    def close(self) -> None:
        """End every stream: the proxies keep what they have and look for another control plane."""
        for session in self._sessions:
            session.close()

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._sessions)

    @property
    def sessions(self) -> Iterator[Session]:
        """Open streams by proxy."""
        return iter(sorted(self._sessions, key=lambda session: session.proxy.id))
