"""The ReplicaSet controller: as many Pods of the template as the spec says.

:func:`plan` decides (pure); the loop creates, deletes, adopts and writes the status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, key_of
from pytest_mesh.clusters.local.controllers.objects import (
    format_time,
    is_being_deleted,
    labels_of,
    matches_labels,
    pod_is_over,
    pod_is_ready,
    pod_ready_since,
    seconds_until_replaced,
    with_condition,
)
from pytest_mesh.clusters.local.controllers.owned_pods import OwnedPods, StatusWriter, pod_of
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json

_BURST = 500
"""Pods created or deleted in one step at most, as kube-controller-manager's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one look at a ReplicaSet calls for."""

    create: int = 0
    delete: tuple[str, ...] = ()
    status: Json
    again: float | None = None
    """Seconds until a ready Pod becomes available (minReadySeconds)."""


def plan(replica_set: Json, pods: Iterable[Json], now: datetime) -> Plan:
    """Decide over the Pods that this ReplicaSet controls."""
    spec = replica_set["spec"]
    wanted = spec.get("replicas", 1)
    pods = list(pods)
    active = [pod for pod in pods if not pod_is_over(pod) and not is_being_deleted(pod)]
    lingering = [left for pod in pods if pod_is_over(pod) and (left := seconds_until_replaced(pod, now)) > 0]
    create = 0
    delete: tuple[str, ...] = ()
    if not is_being_deleted(replica_set):
        if len(active) < wanted:
            create = min(max(0, wanted - len(active) - len(lingering)), _BURST)
        elif len(active) > wanted:
            ranked = sorted(active, key=_worth)
            delete = tuple(pod["metadata"]["name"] for pod in ranked[: min(len(active) - wanted, _BURST)])
    patience = timedelta(seconds=spec.get("minReadySeconds", 0))
    template_labels = spec["template"]["metadata"].get("labels") or {}
    waits = lingering
    available = 0
    for pod in active:
        since = pod_ready_since(pod)
        if since is None:
            continue
        if not patience or since + patience <= now:
            available += 1
        else:
            waits.append((since + patience - now).total_seconds())
    status: Json = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(matches_labels(template_labels, labels_of(pod)) for pod in active),
        "readyReplicas": sum(pod_is_ready(pod) for pod in active),
        "availableReplicas": available,
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    return Plan(create=create, delete=delete, status=status, again=min(waits, default=None))


def new_pod(replica_set: Json) -> Json:
    """Give the Pod to create for this ReplicaSet."""
    return pod_of(replica_set, replica_set["spec"]["template"], generateName=f"{replica_set['metadata']['name']}-")


def _worth(pod: Json) -> tuple[bool, bool, bool, float]:
    """Order Pods by what is lost with them: unassigned, pending, not ready and young ones go first."""
    since = pod_ready_since(pod)
    status = pod.get("status") or {}
    return (
        bool(pod["spec"].get("nodeName")),
        status.get("phase") == "Running",
        since is not None,
        -datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp(),
    )


class ReplicaSetController:
    """Keeps the Pods of every ReplicaSet."""

    def __init__(self, client: ApiClient, *, replica_sets: Informer, pods: Informer, events: EventRecorder) -> None:
        self._replica_sets = replica_sets
        self._pods = OwnedPods(
            client,
            pods=pods,
            owners=replica_sets,
            kind="ReplicaSet",
            events=events,
            component="replicaset-controller",
        )
        self._statuses = StatusWriter(client, replica_sets, group_version="apps/v1", plural="replicasets")
        self._queue = WorkQueue("replicasets", self._reconcile, parallel=16)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._replica_sets.subscribe(lambda old, new: self._queue.add(key_of(new or old or {})))
        self._pods.wake(self._queue)
        await self._queue.run()

    async def _reconcile(self, key: Key) -> float | None:
        replica_set = self._replica_sets.get(key)
        if replica_set is None:
            return None
        decision = plan(replica_set, await self._pods.claimed(replica_set), datetime.now(UTC))
        new = [new_pod(replica_set) for _ in range(decision.create)]
        failure = await self._pods.carry_out(replica_set, new, decision.delete)
        decision = plan(replica_set, self._pods.held(replica_set), datetime.now(UTC))
        await self._statuses.write(replica_set, _with_failure(replica_set, decision.status, failure))
        return 0.5 if failure else decision.again


def _with_failure(replica_set: Json, status: Json, failure: str) -> Json:
    """Give the status with the condition ReplicaFailure, or without it."""
    old = replica_set.get("status") or {}
    conditions = [entry for entry in old.get("conditions") or () if entry["type"] != "ReplicaFailure"]
    if failure:
        conditions = with_condition(
            old.get("conditions") or (),
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": failure,
                "lastTransitionTime": format_time(datetime.now(UTC)),
            },
        )
    return {**status, "conditions": conditions} if conditions else status
