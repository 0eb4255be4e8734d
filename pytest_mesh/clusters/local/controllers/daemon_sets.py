"""The DaemonSet controller: carries out what ``daemon_set_plan`` decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, key_of
from pytest_mesh.clusters.local.controllers import daemon_set_plan
from pytest_mesh.clusters.local.controllers.objects import labels_of
from pytest_mesh.clusters.local.controllers.owned_pods import OwnedPods, StatusWriter
from pytest_mesh.clusters.local.controllers.revisions import HASH_LABEL, History, hash_of
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json


class DaemonSetController:
    """Keeps one Pod of every DaemonSet on every node that it fits."""

    def __init__(
        self,
        client: ApiClient,
        *,
        daemon_sets: Informer,
        pods: Informer,
        nodes: Informer,
        revisions: Informer,
        events: EventRecorder,
    ) -> None:
        self._daemon_sets = daemon_sets
        self._nodes = nodes
        self._history = History(client, revisions)
        self._pods = OwnedPods(
            client,
            pods=pods,
            owners=daemon_sets,
            kind="DaemonSet",
            events=events,
            component="daemonset-controller",
        )
        self._statuses = StatusWriter(client, daemon_sets, group_version="apps/v1", plural="daemonsets")
        self._queue = WorkQueue("daemonsets", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._daemon_sets.subscribe(lambda old, new: self._queue.add(key_of(new or old or {})))
        self._nodes.subscribe(self._node_changed)
        self._pods.wake(self._queue)
        await self._queue.run()

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if old is None or new is None or old.get("spec") != new.get("spec") or labels_of(old) != labels_of(new):
            for key in self._daemon_sets.items:
                self._queue.add(key)

    async def _reconcile(self, key: Key) -> float | None:
        daemon_set = self._daemon_sets.get(key)
        if daemon_set is None:
            return None
        pods = await self._pods.claimed(daemon_set)
        revisions = await self._history.of(daemon_set)
        digest = hash_of(revisions.update)
        nodes = list(self._nodes.items.values())
        decision = daemon_set_plan.plan(daemon_set, pods, nodes, digest, datetime.now(UTC))
        new = (daemon_set_plan.new_pod(daemon_set, node, digest) for node in decision.create)
        refused = await self._pods.carry_out(daemon_set, new, decision.delete)
        held = self._pods.held(daemon_set)
        status = daemon_set_plan.plan(daemon_set, held, nodes, digest, datetime.now(UTC)).status
        if revisions.collisions:
            status["collisionCount"] = revisions.collisions
        await self._statuses.write(daemon_set, status)
        hashes = {labels_of(pod).get(HASH_LABEL) for pod in held} | {digest}
        live = {item["metadata"]["name"] for item in revisions.all if hash_of(item) in hashes}
        await self._history.forget(daemon_set, revisions, live)
        return 0.5 if refused else decision.again
