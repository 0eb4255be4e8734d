"""Takes Pods from nodes with a NoExecute taint that they do not tolerate, or tolerate for so many seconds only.

:func:`patience` decides (pure). Nothing here taints a node.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers.objects import is_being_deleted, pod_is_over
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue
from pytest_mesh.clusters.local.placing import tolerates

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json


def patience(pod: Json, node: Json) -> float:
    """Give for how many seconds the Pod may stay on the node; infinity = for ever."""
    least = math.inf
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint["effect"] != "NoExecute":
            continue
        matching = [each for each in pod["spec"].get("tolerations") or () if tolerates(each, taint)]
        if not matching:
            return 0.0
        limits = [each["tolerationSeconds"] for each in matching if each.get("tolerationSeconds") is not None]
        least = min(least, max(0.0, float(min(limits)))) if limits else least
    return least


class EvictionController:
    """Deletes Pods whose patience with their node's taints is over."""

    def __init__(self, client: ApiClient, *, pods: Informer, nodes: Informer, events: EventRecorder) -> None:
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self._events = events
        self._since: dict[str, float] = {}
        """By uid of a Pod: when it was first seen on a node that it is to leave."""
        self._queue = WorkQueue("evictions", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._nodes.subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)
        await self._queue.run()

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if new is None or (new.get("spec") or {}).get("taints") == ((old or {}).get("spec") or {}).get("taints"):
            return
        for key, pod in self._pods.items.items():
            if pod["spec"].get("nodeName") == new["metadata"]["name"]:
                self._queue.add(key)

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if new is None:
            self._since.pop((old or {})["metadata"]["uid"], None)
        elif old is None or old["spec"].get("nodeName") != new["spec"].get("nodeName"):
            self._queue.add(key_of(new))

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(key)
        node = None if pod is None else self._nodes.get(("", pod["spec"].get("nodeName") or ""))
        if pod is None or node is None or is_being_deleted(pod) or pod_is_over(pod):
            return None
        uid, seconds = pod["metadata"]["uid"], patience(pod, node)
        if seconds == math.inf:
            self._since.pop(uid, None)
            return None
        now = asyncio.get_running_loop().time()
        left = self._since.setdefault(uid, now) + seconds - now
        if left > 0:
            return left
        text = f"Marking for deletion Pod {key[0]}/{key[1]}"
        self._events.record(pod, "Normal", "TaintManagerEviction", text, component="taint-eviction-controller")
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        try:
            await self._client.delete(f"/api/v1/namespaces/{key[0]}/pods/{key[1]}", options)
        except ApiError as error:
            if error.status != 404:
                raise
        return None
