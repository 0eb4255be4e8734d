"""What one look at a StatefulSet calls for: Pods to create and delete, and its status.

Pure: (StatefulSet, its Pods, two revisions, time) -> Plan. As
kube-controller-manager does it: ordered or parallel, updates from the highest
ordinal down to the partition, one Pod at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.controllers.objects import (
    is_being_deleted,
    labels_of,
    pod_is_over,
    pod_is_ready,
    pod_ready_since,
    seconds_until_replaced,
)
from pytest_mesh.clusters.local.controllers.owned_pods import pod_of
from pytest_mesh.clusters.local.controllers.revisions import HASH_LABEL, Revisions, template_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pytest_mesh.contracts import Json

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do."""

    create: tuple[Json, ...] = ()
    delete: tuple[str, ...] = ()
    status: Json
    again: float | None = None
    """Seconds until a ready Pod becomes available (minReadySeconds)."""


def plan(stateful_set: Json, pods: Sequence[Json], revisions: Revisions, now: datetime) -> Plan:
    """Decide over the Pods that this StatefulSet controls."""
    waits = [wait for pod in pods if (wait := _seconds_left(stateful_set, pod, now)) > 0]
    waits += [wait for pod in pods if pod_is_over(pod) and (wait := seconds_until_replaced(pod, now)) > 0]
    create: tuple[Json, ...] = ()
    delete: tuple[str, ...] = ()
    if not is_being_deleted(stateful_set):
        create, delete = _actions(stateful_set, pods, revisions, now)
    return Plan(
        create=create,
        delete=delete,
        status=status_of(stateful_set, pods, revisions, now),
        again=min(waits, default=None),
    )


def ordinal(stateful_set: Json, pod: Json) -> int | None:
    """Give the ordinal in the Pod's name; None when it is not a name of this StatefulSet's."""
    found = re.fullmatch(r"(.*)-(\d+)", pod["metadata"]["name"])
    return int(found[2]) if found and found[1] == stateful_set["metadata"]["name"] else None


def new_pod(stateful_set: Json, number: int, revision: Json) -> Json:
    """Give the Pod of one ordinal at one revision."""
    template = template_of(revision)
    name = f"{stateful_set['metadata']['name']}-{number}"
    labels = {
        **((template.get("metadata") or {}).get("labels") or {}),
        HASH_LABEL: revision["metadata"]["name"],
        POD_NAME: name,
        POD_INDEX: str(number),
    }
    pod = pod_of(stateful_set, template, name=name, labels=labels)
    service = stateful_set["spec"].get("serviceName")
    pod["spec"] = {**pod["spec"], "hostname": name, **({"subdomain": service} if service else {})}
    return pod


def _actions(
    stateful_set: Json, pods: Sequence[Json], revisions: Revisions, now: datetime
) -> tuple[tuple[Json, ...], tuple[str, ...]]:
    spec = stateful_set["spec"]
    ordered = spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    first, size = (spec.get("ordinals") or {}).get("start") or 0, spec.get("replicas", 1)
    by_number = {number: pod for pod in pods if (number := ordinal(stateful_set, pod)) is not None}
    wanted = range(first, first + size)
    partition = first + _partition(spec)
    create: list[Json] = []
    delete: list[str] = []
    for number in wanted:
        pod = by_number.get(number)
        if pod is not None and pod_is_over(pod):
            # It comes again under the same name once it is gone.
            left = is_being_deleted(pod) or seconds_until_replaced(pod, now) > 0
            return tuple(create), () if left else (pod["metadata"]["name"],)
        if pod is None:
            create.append(new_pod(stateful_set, number, revisions.current if number < partition else revisions.update))
        if ordered and (pod is None or is_being_deleted(pod) or not _available(stateful_set, pod, now)):
            return tuple(create), ()
    condemned = [by_number[number] for number in sorted(by_number, reverse=True) if number not in wanted]
    unhealthy = _first_unhealthy(by_number, now, stateful_set)
    for pod in condemned:
        if is_being_deleted(pod):
            if ordered:
                return tuple(create), ()
            continue
        if ordered and pod is not unhealthy and not _available(stateful_set, pod, now):
            return tuple(create), ()
        delete.append(pod["metadata"]["name"])
        if ordered:
            return tuple(create), tuple(delete)
    if delete or (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return tuple(create), tuple(delete)
    fresh = {pod["metadata"]["name"] for pod in create}
    for number in reversed(wanted):
        if number < partition:
            break
        pod = by_number.get(number)
        if pod is None or pod["metadata"]["name"] in fresh:
            break
        if revision_of(pod) != revisions.update["metadata"]["name"] and not is_being_deleted(pod):
            return tuple(create), (pod["metadata"]["name"],)
        if is_being_deleted(pod) or not _available(stateful_set, pod, now):
            break
    return tuple(create), ()


def status_of(stateful_set: Json, pods: Iterable[Json], revisions: Revisions, now: datetime) -> Json:
    """Give the status."""
    pods = list(pods)
    spec = stateful_set["spec"]
    staying = [pod for pod in pods if not is_being_deleted(pod)]
    current, update = (one["metadata"]["name"] for one in (revisions.current, revisions.update))
    status: Json = {
        "observedGeneration": stateful_set["metadata"].get("generation", 0),
        "replicas": len(pods),
        "readyReplicas": sum(_runs(pod) and pod_is_ready(pod) for pod in pods),
        "availableReplicas": sum(_available(stateful_set, pod, now) for pod in pods),
        "currentReplicas": sum(revision_of(pod) == current for pod in staying),
        "updatedReplicas": sum(revision_of(pod) == update for pod in staying),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": revisions.collisions,
    }
    conditions = (stateful_set.get("status") or {}).get("conditions")
    if conditions:
        status["conditions"] = conditions
    size = spec.get("replicas", 1)
    rolling = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if rolling and status["updatedReplicas"] == status["readyReplicas"] == status["replicas"] == size:
        status |= {"currentReplicas": size, "currentRevision": update}
    return status


def revision_of(pod: Json) -> str:
    """Give the name of the revision that the Pod is of."""
    return labels_of(pod).get(HASH_LABEL, "")


def _partition(spec: Json) -> int:
    strategy = spec.get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def _runs(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"


def _available(stateful_set: Json, pod: Json, now: datetime) -> bool:
    return _runs(pod) and pod_is_ready(pod) and _seconds_left(stateful_set, pod, now) <= 0


def _seconds_left(stateful_set: Json, pod: Json, now: datetime) -> float:
    """Give the seconds until a ready Pod counts as available; 0 for one that does or is not ready."""
    patience = stateful_set["spec"].get("minReadySeconds", 0)
    since = pod_ready_since(pod)
    if not patience or since is None:
        return 0.0
    return max(0.0, (since + timedelta(seconds=patience) - now).total_seconds())


def _first_unhealthy(by_number: Mapping[int, Json], now: datetime, stateful_set: Json) -> Json | None:
    for number in sorted(by_number):
        pod = by_number[number]
        if is_being_deleted(pod) or not _available(stateful_set, pod, now):
            return pod
    return None
