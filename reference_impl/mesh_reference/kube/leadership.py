"""Leader election on a Lease: of several control planes one does what only one may write. It does not know what that is.

Where Leases cannot be used (forbidden, not served) there is no election: each candidate does the work, and looks whether
one can be held by now. Others' clocks are not believed: a leader counts as gone when its Lease has not changed for the Lease's duration, measured
here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from mesh_reference import tasks
from mesh_reference.errors import ApiFailure, Conflict, NotFound
from mesh_reference.kube.resources import LEASES

if TYPE_CHECKING:
    from mesh_reference.kube.resources import Resource

logger = logging.getLogger(__name__)

Json = dict[str, Any]

DURATION = 15.0
"""Seconds that a Lease lasts without being renewed."""
RETRY = 2.0
"""Seconds between renewals, and between looks at another's Lease."""


class LeaseApi(Protocol):
    """The calls of ``Kube`` that an election needs."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json: ...
    async def create(self, resource: Resource, obj: Json) -> Json: ...
    async def replace(self, resource: Resource, obj: Json) -> Json: ...


class Standing(Enum):
    """What a look at the Lease says of the one who looks."""

    LEADS = auto()
    FOLLOWS = auto()
    ALONE = auto()
    """No election can be held."""


class Leadership:
    """One candidate. ``leading`` may be waited for from other tasks."""

    def __init__(
        self,
        kube: LeaseApi,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = DURATION,
        retry: float = RETRY,
    ) -> None:
        self._kube = kube
        self._namespace, self._name, self._identity = namespace, name, identity
        self._duration, self._retry = duration, retry
        self._seen: tuple[Any, float] = (None, 0.0)
        """Another's Lease as last seen, and since when it is like that."""
        self._held: Json | None = None
        """The Lease as this candidate wrote it last: it is renewed without a look, and a conflict tells that it changed."""
        self._elects = True
        self.leading = asyncio.Event()

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do ``work`` whenever leading, and stop it when that is lost; never returns. Cancelled, it gives up the Lease."""
        try:
            while True:
                await self._acquire()
                self.leading.set()
                doing = asyncio.create_task(work(), name="what only the leader does")
                keeping = asyncio.create_task(self._keep(), name="renew the lease")
                try:
                    await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self.leading.clear()
                    await tasks.end(doing, keeping)
                logger.warning("%s leads no longer", self._identity)
        finally:
            await self._release()

    async def _acquire(self) -> None:
        while True:
            try:
                standing = await self._look()
            except ApiFailure as error:
                logger.warning("the Lease could not be taken: %s", error)
            else:
                if standing is Standing.LEADS:
                    logger.info("%s leads by Lease %s/%s", self._identity, self._namespace, self._name)
                if standing is not Standing.FOLLOWS:
                    return
            await asyncio.sleep(self._retry)

    async def _keep(self) -> None:
        """Renew; returns when another leads, or when this one could not say for too long that it does."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < self._duration * 2 / 3:
            await asyncio.sleep(self._retry)
            try:
                async with asyncio.timeout(self._duration / 3):
                    standing = await self._look()
            except (ApiFailure, TimeoutError) as error:
                logger.warning("the Lease could not be renewed: %s", error or "no answer")
                continue
            if standing is Standing.FOLLOWS:
                return
            renewed = loop.time()

    async def _look(self) -> Standing:
        """Take or renew the Lease if that may be. Raises ApiFailure when nothing can be said of it."""
        try:
            mine = await self._take()
        except ApiFailure as error:
            if error.status not in {403, 404}:
                raise
            if self._elects:
                logger.warning("no election, since Leases cannot be used (%s): taking this control plane for the only one", error)  # fmt: skip
            self._elects = False
            return Standing.ALONE
        self._elects = True
        return Standing.LEADS if mine else Standing.FOLLOWS

    async def _take(self) -> bool:
        """Write the Lease when it is this candidate's, free or run out; says whether this one leads.

        Raises NotFound where Leases are not served.
        """
        held, self._held = self._held, None
        if held is not None:
            with contextlib.suppress(Conflict, NotFound):
                self._held = await self._kube.replace(LEASES, {**held, "spec": {**held["spec"], "renewTime": _now()}})
                return True
        try:
            lease = await self._kube.get(LEASES, self._name, self._namespace)
        except NotFound:
            lease = {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": {}}
        now = _now()
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in {"", self._identity} and not self._has_run_out(spec):
            return False
        changes = holder != self._identity
        lease["spec"] = {
            **spec,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "renewTime": now,
            "acquireTime": now if changes else spec.get("acquireTime", now),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if changes and holder else 0),
        }
        try:
            if "resourceVersion" in lease["metadata"]:
                self._held = await self._kube.replace(LEASES, lease)
            else:
                self._held = await self._kube.create(LEASES, lease)
        except Conflict:
            return False  # another was quicker
        except NotFound as error:
            if "resourceVersion" in lease["metadata"] or _lacks_namespace(error):
                return False
            raise
        return True

    def _has_run_out(self, spec: Json) -> bool:
        loop = asyncio.get_running_loop()
        if self._seen[0] != spec:
            self._seen = (spec, loop.time())
        return loop.time() - self._seen[1] > float(spec.get("leaseDurationSeconds") or self._duration)

    async def _release(self) -> None:
        """Let the next one lead at once."""
        try:
            async with asyncio.timeout(1):
                lease = await self._kube.get(LEASES, self._name, self._namespace)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"]["holderIdentity"] = ""
                    await self._kube.replace(LEASES, lease)
        except (ApiFailure, TimeoutError) as error:
            logger.debug("the Lease stays until it runs out: %s", error)


def _lacks_namespace(error: NotFound) -> bool:
    """Whether it is the namespace that is not there, and not the resource type."""
    details = error.body.get("details") if isinstance(error.body, dict) else None
    return isinstance(details, dict) and details.get("kind") == "namespaces"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
