"""The StatefulSet controller: carries out what ``stateful_set_plan`` decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, key_of
from pytest_mesh.clusters.local.controllers import stateful_set_plan
from pytest_mesh.clusters.local.controllers.owned_pods import OwnedPods, StatusWriter
from pytest_mesh.clusters.local.controllers.revisions import History
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder


class StatefulSetController:
    """Keeps the Pods of every StatefulSet."""

    def __init__(
        self, client: ApiClient, *, stateful_sets: Informer, pods: Informer, revisions: Informer, events: EventRecorder
    ) -> None:
        self._stateful_sets = stateful_sets
        self._history = History(client, revisions)
        self._pods = OwnedPods(
            client,
            pods=pods,
            owners=stateful_sets,
            kind="StatefulSet",
            events=events,
            component="statefulset-controller",
            member=lambda owner, pod: stateful_set_plan.ordinal(owner, pod) is not None,
        )
        self._statuses = StatusWriter(client, stateful_sets, group_version="apps/v1", plural="statefulsets")
        self._queue = WorkQueue("statefulsets", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._stateful_sets.subscribe(lambda old, new: self._queue.add(key_of(new or old or {})))
        self._pods.wake(self._queue)
        await self._queue.run()

    async def _reconcile(self, key: Key) -> float | None:
        stateful_set = self._stateful_sets.get(key)
        if stateful_set is None:
            return None
        pods = await self._pods.claimed(stateful_set)
        revisions = await self._history.of(stateful_set)
        decision = stateful_set_plan.plan(stateful_set, pods, revisions, datetime.now(UTC))
        refused = await self._pods.carry_out(stateful_set, decision.create, decision.delete)
        held = self._pods.held(stateful_set)
        status = stateful_set_plan.status_of(stateful_set, held, revisions, datetime.now(UTC))
        await self._statuses.write(stateful_set, status)
        live = {stateful_set_plan.revision_of(pod) for pod in held}
        await self._history.forget(
            stateful_set, revisions, live | {status["currentRevision"], status["updateRevision"]}
        )
        return 0.5 if refused else decision.again
