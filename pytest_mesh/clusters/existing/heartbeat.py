"""Renews the leases of a process's namespaces, so that no other run takes them for a dead run's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pytest_mesh.clusters.existing.leavings import RENEWAL_SECONDS

_log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that calls ``renew(namespace)`` for each namespace it was told of, until it is closed."""

    def __init__(self, renew: Callable[[str], None], seconds: float = RENEWAL_SECONDS) -> None:
        self._renew = renew
        self._seconds = seconds
        self._namespaces: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, namespace: str) -> None:
        """Renew this one too; the first starts the thread."""
        with self._lock:
            self._namespaces.add(namespace)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="mesh-heartbeat", daemon=True)
                self._thread.start()

    def drop(self, namespace: str) -> None:
        """Renew this one no more."""
        with self._lock:
            self._namespaces.discard(namespace)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds):
            with self._lock:
                namespaces = sorted(self._namespaces)
            for one in namespaces:
                try:
                    self._renew(one)
                except Exception as error:  # noqa: BLE001 - the next beat may do; ten minutes' worth may fail
                    _log.warning("the lease of namespace %s is not renewed: %s", one, error)
