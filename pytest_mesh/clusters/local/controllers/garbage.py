"""The garbage collector: deletes what lost its owners; foreground and orphan deletion.

Watches the metadata of every resource that discovery names, custom ones too, but
not Events, which own and are owned by nothing. What to do is decided in ``garbage_graph``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError
from pytest_mesh.clusters.local.controllers.discovery import ApiResource, discover
from pytest_mesh.clusters.local.controllers.garbage_graph import Graph, Node, Owner, OwnerState, decide, node_of
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from pytest_mesh.clusters.local.controllers.cache import Informer
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_NEEDED = {"list", "watch", "delete"}
_SKIPPED = {("", "events"), ("events.k8s.io", "events")}
_SETTLE_SECONDS = 0.05
"""How long after a CRD changed discovery is read again."""
_UNKNOWN_KIND_SECONDS = 5.0


def watched(resources: Iterable[ApiResource]) -> tuple[ApiResource, ...]:
    """Give the resources that can be collected."""
    return tuple(item for item in resources if item.verbs >= _NEEDED and (item.group, item.plural) not in _SKIPPED)


class GarbageCollector:
    """Deletes dependents after their owners."""

    def __init__(self, client: ApiClient, *, definitions: Informer) -> None:
        self._client = client
        self._definitions = definitions
        self._graph = Graph()
        self._absent: deque[str] = deque(maxlen=512)
        self._monitors: dict[ApiResource, asyncio.Task[None]] = {}
        self._synced: dict[ApiResource, asyncio.Event] = {}
        self._kinds: dict[tuple[str, str], ApiResource] = {}
        self._changed = asyncio.Event()
        self._queue = WorkQueue("garbage", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the cache of CRDs must be synced."""
        self._definitions.subscribe(self._definition_changed)
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_monitors(group), name="garbage monitors")
            group.create_task(self._queue.run(), name="garbage queue")

    def _definition_changed(self, _old: Json | None, _new: Json | None) -> None:
        self._changed.set()

    async def _keep_monitors(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._changed.clear()
            try:
                resources = await discover(self._client)
            except ApiError as error:
                log.info("discovery: %s; trying again", error)
                self._changed.set()
                continue
            self._kinds = {(item.group, item.kind): item for item in reversed(resources)}
            wanted = set(watched(resources))
            for resource in self._monitors.keys() - wanted:
                self._monitors[resource].cancel()
            for resource in wanted - self._monitors.keys():
                self._synced[resource] = asyncio.Event()
                self._monitors[resource] = group.create_task(self._monitor(resource), name=f"garbage {resource.plural}")

    async def _monitor(self, resource: ApiResource) -> None:
        try:
            async for event in self._client.watch_metadata(resource.collection()):
                if event.type == "SYNCED":
                    self._synced[resource].set()
                elif event.type == "DELETED":
                    self._add(self._graph.remove(event.object["metadata"]["uid"]))
                else:
                    self._add(self._graph.put(node_of(resource, event.object)))
        except ApiError as error:
            if error.status not in {404, 405}:
                raise
            self._changed.set()
        finally:
            self._synced[resource].set()
            del self._monitors[resource]
            for node in self._graph.of(resource):
                self._add(self._graph.remove(node.uid))

    def _add(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self._queue.add(uid)

    async def _reconcile(self, uid: str) -> float | None:
        for synced in tuple(self._synced.values()):
            await synced.wait()
        node = self._graph.get(uid)
        if node is None:
            return None
        owners: dict[str, OwnerState] = {}
        for owner in node.owners if not node.deleting else ():
            state = await self._state(node, owner)
            if state is None:
                return _UNKNOWN_KIND_SECONDS
            owners[owner.uid] = state
        action = decide(node, self._graph.dependents(uid), owners)
        self._add(action.visit)
        for dependent in action.orphan:
            await self._disown(dependent, {uid})
        if action.disown:
            await self._disown(node, action.disown)
        if action.finalizer:
            await self._drop_finalizer(node, action.finalizer)
        if action.delete:
            await self._delete(node, action.delete)
        return None

    async def _state(self, node: Node, owner: Owner) -> OwnerState | None:
        """Give the owner's state, asking the server when the graph does not know it; None = its kind is unknown."""
        known = self._graph.get(owner.uid)
        if known is not None:
            return "waiting" if known.waits_for_dependents else "solid"
        if owner.uid in self._absent:
            return "absent"
        group = owner.api_version.rpartition("/")[0]
        resource = self._kinds.get((group, owner.kind))
        if resource is None or (resource.namespaced and not node.namespace):
            return None
        try:
            found = await self._client.get(resource.path(node.namespace, owner.name))
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            if found["metadata"]["uid"] == owner.uid:
                return "solid"
        self._absent.append(owner.uid)
        return "absent"

    async def _delete(self, node: Node, policy: str) -> None:
        log.debug("deleting %s %s/%s (%s)", node.resource.plural, node.namespace, node.name, policy)
        await self._ignoring_absence(
            self._client.delete(
                node.resource.path(node.namespace, node.name),
                {
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"uid": node.uid},
                    "propagationPolicy": policy,
                },
            )
        )

    async def _disown(self, node: Node, owners: Iterable[str]) -> None:
        fresh = await self._fresh(node)
        if fresh is None:
            return
        unwanted = set(owners)
        kept = [entry for entry in fresh["metadata"].get("ownerReferences") or () if entry["uid"] not in unwanted]
        await self._patch(node, fresh, {"ownerReferences": kept})

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        fresh = await self._fresh(node)
        if fresh is None:
            return
        kept = [entry for entry in fresh["metadata"].get("finalizers") or () if entry != finalizer]
        await self._patch(node, fresh, {"finalizers": kept})

    async def _fresh(self, node: Node) -> Json | None:
        item = await self._ignoring_absence(self._client.get(node.resource.path(node.namespace, node.name)))
        if item is None or item["metadata"]["uid"] != node.uid:
            return None
        return item

    async def _patch(self, node: Node, fresh: Json, metadata: Json) -> None:
        version = fresh["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version, **metadata}}
        await self._ignoring_absence(self._client.patch(node.resource.path(node.namespace, node.name), body))

    async def _ignoring_absence(self, call: Coroutine[Any, Any, Json]) -> Json | None:
        try:
            return await call
        except ApiError as error:
            if error.status == 404:
                return None
            raise
