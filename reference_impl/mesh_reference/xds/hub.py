"""The streams that are open, and the newest configuration for all of them. It serves nothing itself."""

from __future__ import annotations

import logging
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


class Hub:
    """Made with the first whole snapshot: before that nobody can be served."""

    def __init__(self, snapshot: MeshSnapshot, settings: Settings) -> None:
        self.configuration = Configuration(snapshot, settings)
        self._sessions: set[Session] = set()

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
        metrics.CONNECTED.set(len(self._sessions))

    def remove(self, session: Session) -> None:
        self._sessions.discard(session)
        self.configuration.keep_only(found.proxy for found in self._sessions)
        metrics.CONNECTED.set(len(self._sessions))

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
