"""The ReplicaSet controller: as many Pods of the template as the spec says.

:func:`plan` decides (pure); the loop creates, deletes, adopts and writes the status.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers.objects import (
    controller_of,
    format_time,
    is_being_deleted,
    labels_of,
    matches_labels,
    matches_selector,
    owner_reference,
    pod_is_over,
    pod_is_ready,
    pod_ready_since,
    with_condition,
)
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

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
    active = [pod for pod in pods if not pod_is_over(pod) and not is_being_deleted(pod)]
    create = 0
    delete: tuple[str, ...] = ()
    if not is_being_deleted(replica_set):
        if len(active) < wanted:
            create = min(wanted - len(active), _BURST)
        elif len(active) > wanted:
            ranked = sorted(active, key=_worth)
            delete = tuple(pod["metadata"]["name"] for pod in ranked[: min(len(active) - wanted, _BURST)])
    patience = timedelta(seconds=spec.get("minReadySeconds", 0))
    template_labels = spec["template"]["metadata"].get("labels") or {}
    waits = []
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
    template = replica_set["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{replica_set['metadata']['name']}-",
            "namespace": replica_set["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "finalizers": list(metadata.get("finalizers") or ()),
            "ownerReferences": [owner_reference(replica_set)],
        },
        "spec": template["spec"],
    }


def same_status(old: Json, new: Json) -> bool:
    """Compare statuses; an absent count is 0."""
    names = {*old, *new}
    return all((old.get(name) or 0) == (new.get(name) or 0) for name in names)


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

    def __init__(self, client: ApiClient, *, replica_sets: Informer, pods: Informer) -> None:
        self._client = client
        self._replica_sets = replica_sets
        self._pods = pods
        self._queue = WorkQueue("replicasets", self._reconcile, parallel=16)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._replica_sets.subscribe(self._changed)
        self._pods.subscribe(self._pod_changed)
        await self._queue.run()

    def _changed(self, old: Json | None, new: Json | None) -> None:
        self._queue.add(key_of(new or old or {}))

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            namespace = pod["metadata"]["namespace"]
            owner = controller_of(pod)
            if owner is None:
                for candidate in self._replica_sets.within(namespace):
                    if matches_selector(candidate["spec"]["selector"], labels_of(pod)):
                        self._queue.add(key_of(candidate))
            elif owner["kind"] == "ReplicaSet":
                self._queue.add((namespace, owner["name"]))

    async def _reconcile(self, key: Key) -> float | None:
        replica_set = self._replica_sets.get(key)
        if replica_set is None:
            return None
        pods = await self._claimed(replica_set)
        decision = plan(replica_set, pods, datetime.now(UTC))
        failure = ""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(decision.create):
                    group.create_task(self._create(replica_set))
                for name in decision.delete:
                    group.create_task(self._delete(key[0], name))
        except* ApiError as errors:
            failure = str(errors.exceptions[0])
            log.warning("replica set %s/%s: %s", *key, failure)
        pods = [pod for pod in self._pods.within(key[0]) if _controls(replica_set, pod)]
        decision = plan(replica_set, pods, datetime.now(UTC))
        await self._write_status(replica_set, decision.status, failure)
        return 0.5 if failure else decision.again

    async def _create(self, replica_set: Json) -> None:
        namespace = replica_set["metadata"]["namespace"]
        self._pods.absorb(await self._client.create(f"/api/v1/namespaces/{namespace}/pods", new_pod(replica_set)))

    async def _delete(self, namespace: str, name: str) -> None:
        try:
            answer = await self._client.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            if answer.get("kind") == "Pod" and is_being_deleted(answer):
                self._pods.absorb(answer)

    async def _claimed(self, replica_set: Json) -> list[Json]:
        """Give the Pods under this ReplicaSet's control, after adopting strays and releasing those that left."""
        selector = replica_set["spec"]["selector"]
        result = []
        for pod in self._pods.within(replica_set["metadata"]["namespace"]):
            fits = matches_selector(selector, labels_of(pod))
            if _controls(replica_set, pod):
                if fits or is_being_deleted(replica_set):
                    result.append(pod)
                elif not is_being_deleted(pod):
                    await self._set_owners(pod, replica_set, own=False)
            elif (
                fits
                and controller_of(pod) is None
                and not is_being_deleted(pod)
                and not pod_is_over(pod)
                and not is_being_deleted(replica_set)
            ):
                result.append(await self._set_owners(pod, replica_set, own=True))
        return result

    async def _set_owners(self, pod: Json, replica_set: Json, *, own: bool) -> Json:
        uid = replica_set["metadata"]["uid"]
        owners = [entry for entry in pod["metadata"].get("ownerReferences") or () if entry["uid"] != uid]
        if own:
            owners.append(owner_reference(replica_set))
        namespace, name = key_of(pod)
        answer = await self._client.patch(
            f"/api/v1/namespaces/{namespace}/pods/{name}",
            {
                "metadata": {
                    "uid": pod["metadata"]["uid"],
                    "resourceVersion": pod["metadata"]["resourceVersion"],
                    "ownerReferences": owners,
                }
            },
        )
        self._pods.absorb(answer)
        return answer

    async def _write_status(self, replica_set: Json, status: Json, failure: str) -> None:
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
        new = {**status, "conditions": conditions} if conditions else status
        if same_status(old, new):
            return
        namespace, name = key_of(replica_set)
        answer = await self._client.replace(
            f"/apis/apps/v1/namespaces/{namespace}/replicasets/{name}/status", {**replica_set, "status": new}
        )
        self._replica_sets.absorb(answer)


def _controls(replica_set: Json, pod: Json) -> bool:
    owner = controller_of(pod)
    return owner is not None and owner["uid"] == replica_set["metadata"]["uid"]
