"""The namespace controller: empties a namespace that is being deleted, then lets it go.

Pods and what makes them go first, the rest when the last Pod is gone, so that a
terminating Pod keeps its Service, its tokens and its mesh configuration.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError
from pytest_mesh.clusters.local.controllers.discovery import ApiResource, discover
from pytest_mesh.clusters.local.controllers.objects import format_time, is_being_deleted, with_condition
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mesh.clusters.local.controllers.cache import Informer
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

FINALIZER = "kubernetes"
_FIRST = {("apps", "deployments"), ("apps", "replicasets"), ("", "pods")}
_POLL_SECONDS = 0.1
_REPORT_SECONDS = 5.0
"""After this long the namespace's status says what still remains."""


def stages(resources: Iterable[ApiResource]) -> tuple[tuple[ApiResource, ...], tuple[ApiResource, ...]]:
    """Split the namespaced resources that can be listed and deleted into what goes first and the rest."""
    fitting = [item for item in resources if item.namespaced and {"list", "delete"} <= item.verbs]
    first = tuple(item for item in fitting if (item.group, item.plural) in _FIRST)
    return first, tuple(item for item in fitting if item not in first)


def may_empty(namespace: Json) -> bool:
    """Tell whether this namespace is being deleted and still waits for this controller."""
    return is_being_deleted(namespace) and FINALIZER in (namespace["spec"].get("finalizers") or ())


class NamespaceController:
    """Finishes the deletion of namespaces."""

    def __init__(self, client: ApiClient, *, namespaces: Informer) -> None:
        self._client = client
        self._namespaces = namespaces
        self._since: dict[str, float] = {}
        self._queue = WorkQueue("namespaces", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the cache must be synced."""
        self._namespaces.subscribe(self._changed)
        await self._queue.run()

    def _changed(self, _: Json | None, new: Json | None) -> None:
        if new is not None and may_empty(new):
            self._queue.add(new["metadata"]["name"])

    async def _reconcile(self, name: str) -> float | None:
        namespace = self._namespaces.get(("", name))
        if namespace is None or not may_empty(namespace):
            self._since.pop(name, None)
            return None
        now = asyncio.get_running_loop().time()
        since = self._since.setdefault(name, now)
        first, rest = stages(await discover(self._client))
        remaining = await self._empty(name, first)
        if not remaining:
            remaining = await self._empty(name, rest)
        if remaining:
            if now - since > _REPORT_SECONDS:
                self._since[name] = now
                await self._report(namespace, remaining)
            return _POLL_SECONDS
        await self._finalize(name)
        self._since.pop(name, None)
        return None

    async def _empty(self, namespace: str, resources: Iterable[ApiResource]) -> dict[str, int]:
        """Delete what is there; give the counts of what is still left afterwards, by resource."""
        left = await asyncio.gather(*(self._delete_all(namespace, resource) for resource in resources))
        return {name: count for name, count in left if count}

    async def _delete_all(self, namespace: str, resource: ApiResource) -> tuple[str, int]:
        label = f"{resource.plural}.{resource.group}".rstrip(".")
        collection = resource.collection(namespace)
        try:
            items = await self._client.list(collection)
        except ApiError as error:
            if error.status in {404, 405}:  # its CRD is gone, and its objects with it
                return label, 0
            raise
        left = 0
        for item in items:
            if is_being_deleted(item):
                left += 1
                continue
            path = resource.path(namespace, item["metadata"]["name"])
            try:
                answer = await self._client.delete(path, propagationPolicy="Background")
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                left += answer.get("kind") not in {None, "Status"} and is_being_deleted(answer)
        return label, left

    async def _finalize(self, name: str) -> None:
        try:
            fresh = await self._client.get(f"/api/v1/namespaces/{name}")
        except ApiError as error:
            if error.status == 404:
                return
            raise
        finalizers = [entry for entry in fresh["spec"].get("finalizers") or () if entry != FINALIZER]
        body = {**fresh, "spec": {**fresh["spec"], "finalizers": finalizers}}
        await self._client.replace(f"/api/v1/namespaces/{name}/finalize", body)

    async def _report(self, namespace: Json, remaining: dict[str, int]) -> None:
        listing = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(remaining.items()))
        name = namespace["metadata"]["name"]
        log.warning("namespace %s is not empty yet: %s", name, listing)
        status = namespace.get("status") or {}
        entry = {
            "type": "NamespaceContentRemaining",
            "status": "True",
            "reason": "SomeResourcesRemain",
            "message": f"Some resources are remaining: {listing}",
            "lastTransitionTime": format_time(datetime.now(UTC)),
        }
        conditions = with_condition(status.get("conditions") or (), entry)
        self._namespaces.absorb(
            await self._client.replace(
                f"/api/v1/namespaces/{name}/status", {**namespace, "status": {**status, "conditions": conditions}}
            )
        )
