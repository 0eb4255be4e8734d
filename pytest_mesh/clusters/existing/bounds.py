"""What a run may touch on somebody's cluster: namespaces with its own label, and what is in them; nothing else.

It makes those namespaces tell whose they are, keeps their leases, and removes
what dead runs of the same account left. It installs nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pytest_mesh.clusters.existing import access, leavings, pull_secrets
from pytest_mesh.clusters.existing.heartbeat import Heartbeat
from pytest_mesh.clusters.existing.leavings import LEASE, Who
from pytest_mesh.contracts import Json, Progress
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.lifetime import OWNER_LABEL, RUN_LABEL, remove
from pytest_mesh.liveness import Process

_log = logging.getLogger(__name__)

_GONE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.2
_NAMESPACES: Final = "/api/v1/namespaces"
_QUESTIONS: Final = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")
"""What is posted there is answered and stored nowhere."""
_RULE: Final = "on --mesh-cluster=existing a test changes nothing but what is in namespaces of its run"


class Bounds:
    """One process's part in keeping a run within its bounds."""

    def __init__(self, kube: Kube, *, run: str, controller: int, pull_secret: str = "") -> None:
        self._kube = kube
        self.me = Who(run=run, by=access.who(kube))
        self._process = str(Process.of(controller))
        self._pull_secret = pull_secret
        self._heartbeat = Heartbeat(self._renew)
        self._everywhere: bool | None = None
        self._proven = False
        self._own: set[str] = set()
        self._lock = threading.Lock()

    # ------------------------------------------------------------ a namespace of the run

    def labels(self) -> Mapping[str, str]:
        """Give the label of the run."""
        return {RUN_LABEL: self.me.run}

    def annotations(self) -> Mapping[str, str]:
        """Give the annotations by which a later run knows whose a namespace is."""
        return {leavings.BY: self.me.by, leavings.PROCESS: self._process}

    def settle(self, namespace: str) -> None:
        """Make a namespace that this run has just made usable: rights, lease, pull secret. Raises ``Infrastructure``."""
        try:
            with self._lock:
                if self._everywhere is None:
                    self._everywhere = access.everywhere(self._kube)
            if not self._everywhere:
                access.bind(self._kube, namespace, self.me.by)
                if not self._proven:
                    access.in_namespace(self._kube, namespace)
                    self._proven = True
            self._own.add(namespace)
            self._renew(namespace)
            self._heartbeat.add(namespace)
            if self._pull_secret:
                self._kube.apply(pull_secrets.read(self._kube, self._pull_secret), namespace=namespace)
        except KubeError as error:
            raise Infrastructure(f"namespace {namespace!r} cannot be set up: {error.message}; {access.HINT}") from error

    def leave(self, namespace: str, *, kept: bool) -> None:
        """Stop renewing a namespace; one that is kept says so, for runs that come later."""
        self._heartbeat.drop(namespace)
        if kept:
            try:
                self._kube.apply(self._lease(kept=True), namespace=namespace)
            except (KubeError, Infrastructure) as error:
                _log.warning("namespace %s is kept, and does not say so: %s", namespace, error)

    # ------------------------------------------------------------ what may be changed

    def check(self, method: str, path: str, body: Any, params: Mapping[str, str]) -> None:
        """Raise ``Infrastructure`` for a request that would change what is not in a namespace of this run."""
        if method == "GET" or params.get("dryRun") == "All" or path.startswith(_QUESTIONS):
            return
        parts = path.split("/")
        if path == _NAMESPACES:
            if (body["metadata"].get("labels") or {}).get(RUN_LABEL) != self.me.run:
                raise Infrastructure(f"namespace {body['metadata']['name']}: {_RULE}")
        elif "namespaces" not in parts[:-1]:
            raise Infrastructure(f"{_what(parts, body)} is cluster-scoped: {_RULE}")
        else:
            place = parts[parts.index("namespaces") + 1]
            if not self._is_own(place):
                raise Infrastructure(
                    f"{_what(parts, body)} is in namespace {place!r}, which is not this run's: {_RULE}"
                )

    def _is_own(self, namespace: str) -> bool:
        if namespace not in self._own:
            found = self._kube.find(f"/api/v1/namespaces/{namespace}") or {"metadata": {}}
            if (found["metadata"].get("labels") or {}).get(RUN_LABEL) != self.me.run:
                return False
            self._own.add(namespace)
        return True

    # ------------------------------------------------------------ clearing up

    def sweep(self, progress: Progress) -> list[str]:
        """Remove what dead runs of this account left, telling which; give the names. Raises ``Infrastructure``."""
        try:
            found = leavings.dead(self._owned(), self._lease_of, self.me, now=datetime.now(UTC))
            for line in leavings.told(found):
                progress(line)
            for one in found:
                remove(self._kube, one)
        except KubeError as error:
            raise Infrastructure(f"what earlier runs left cannot be removed: {error.message}; {access.HINT}") from error
        return [one["metadata"]["name"] for one in found]

    def others(self) -> list[str]:
        """Give the namespaces of this plugin that are not this run's: somebody may be using the mesh."""
        return sorted(
            one["metadata"]["name"]
            for one in self._owned()
            if one["metadata"]["labels"].get(RUN_LABEL) != self.me.run and not one["metadata"].get("deletionTimestamp")
        )

    def clear(self, swept: Iterable[str] = ()) -> list[str]:
        """Remove what this run still has, wait until all is gone; give the namespaces that are kept.

        Raises ``Infrastructure`` with what does not go away.
        """
        self._heartbeat.close()
        kept = []
        for one in self._owned(run=self.me.run):
            name = one["metadata"]["name"]
            if leavings.is_kept(self._lease_of(name)):
                kept.append(name)
            elif not one["metadata"].get("deletionTimestamp"):
                remove(self._kube, one)
        self._wait_gone(lambda: {one["metadata"]["name"] for one in self._owned(run=self.me.run)} - {*kept})
        self._wait_gone(lambda: {one["metadata"]["name"] for one in self._owned()} & {*swept})
        return sorted(kept)

    def close(self) -> None:
        """End the heartbeat."""
        self._heartbeat.close()

    def _wait_gone(self, left: Callable[[], set[str]]) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        while names := left():
            if time.monotonic() > deadline:
                raise Infrastructure(f"not gone after {_GONE_SECONDS:g} s: namespaces {', '.join(sorted(names))}")
            time.sleep(_POLL_SECONDS)

    def _owned(self, run: str = "") -> list[Json]:
        selector = f"{OWNER_LABEL}=true" + (f",{RUN_LABEL}={run}" if run else "")
        return self._kube.list("/api/v1/namespaces", labelSelector=selector)

    def _lease_of(self, namespace: str) -> Json | None:
        try:
            return self._kube.find(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")
        except KubeError as error:
            if error.status != 403:
                raise
            return None  # killed before its role was bound: its age decides

    def _lease(self, *, kept: bool = False) -> Json:
        return leavings.lease(self.me.run, now=datetime.now(UTC), kept=kept)

    def _renew(self, namespace: str) -> None:
        self._kube.apply(self._lease(), namespace=namespace)


def _what(parts: list[str], body: Any) -> str:
    """Name the object of a request for a person: ``Secret cacerts``, else its path's end."""
    if isinstance(body, dict) and body.get("kind") and body["kind"] != "DeleteOptions":
        return f"{body['kind']} {(body.get('metadata') or {}).get('name', '')}".strip()
    return "/".join(parts[-2:])
