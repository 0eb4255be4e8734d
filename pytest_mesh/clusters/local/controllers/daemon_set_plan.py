"""What one look at a DaemonSet calls for: Pods to create and delete, and its status.

Pure: (DaemonSet, its Pods, the nodes, the revision's hash, time) -> Plan. One
Pod for each node that its template fits; updates by maxUnavailable or maxSurge.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
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
from pytest_mesh.clusters.local.controllers.revisions import HASH_LABEL
from pytest_mesh.clusters.local.placing import Place, obstacle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pytest_mesh.contracts import Json

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_TOLERATED_ON_HOST = ("node.kubernetes.io/network-unavailable", "NoSchedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do; ``create`` names nodes, ``delete`` Pods."""

    create: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    status: Json = field(default_factory=dict)
    again: float | None = None


def plan(daemon_set: Json, pods: Sequence[Json], nodes: Sequence[Json], digest: str, now: datetime) -> Plan:
    """Decide over the Pods that this DaemonSet controls."""
    wanted = [node["metadata"]["name"] for node in nodes if fits(daemon_set, node)]
    by_node: defaultdict[str, list[Json]] = defaultdict(list)
    for pod in pods:
        by_node[node_of(pod)].append(pod)
    waits = [left for pod in pods if (left := _seconds_left(daemon_set, pod, now)) > 0]
    waits += [left for pod in pods if pod_is_over(pod) and (left := seconds_until_replaced(pod, now)) > 0]
    status = _status(daemon_set, by_node, wanted, digest, now)
    again = min(waits, default=None)
    if is_being_deleted(daemon_set):
        return Plan(status=status, again=again)
    create, delete = _missing_and_surplus(daemon_set, by_node, wanted, digest, now)
    if (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate":
        more, fewer = _rolling(daemon_set, by_node, wanted, digest, now)
        create, delete = [*create, *more], [*delete, *fewer]
    return Plan(create=tuple(dict.fromkeys(create)), delete=tuple(dict.fromkeys(delete)), status=status, again=again)


def fits(daemon_set: Json, node: Json) -> bool:
    """Tell whether a node is to have a Pod of it."""
    return not obstacle(new_pod(daemon_set, node["metadata"]["name"], ""), Place.of(node))


def new_pod(daemon_set: Json, node: str, digest: str) -> Json:
    """Give the Pod for one node."""
    metadata, template = daemon_set["metadata"], daemon_set["spec"]["template"]
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    generation = (metadata.get("annotations") or {}).get(TEMPLATE_GENERATION)
    if generation:
        labels["pod-template-generation"] = generation
    pod = pod_of(daemon_set, template, generateName=f"{metadata['name']}-", labels=labels)
    spec = {**pod["spec"]}
    extra = [*_TOLERATED, *((_TOLERATED_ON_HOST,) if spec.get("hostNetwork") else ())]
    tolerations = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in extra]
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *tolerations]
    affinity = {**(spec.get("affinity") or {})}
    own = {**(affinity.get("nodeAffinity") or {})}
    required = (own.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or [{}]
    field_terms = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    own["requiredDuringSchedulingIgnoredDuringExecution"] = {
        "nodeSelectorTerms": [{**term, "matchFields": field_terms} for term in required]
    }
    spec["affinity"] = {**affinity, "nodeAffinity": own}
    pod["spec"] = spec
    return pod


def node_of(pod: Json) -> str:
    """Give the node that a Pod runs on or is meant for."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for each in term.get("matchFields") or ():
            if each.get("key") == "metadata.name" and each.get("values"):
                return str(each["values"][0])
    return ""


def _missing_and_surplus(
    daemon_set: Json, by_node: Mapping[str, list[Json]], wanted: Sequence[str], digest: str, now: datetime
) -> tuple[list[str], list[str]]:
    create, delete = [], []
    for node, pods in by_node.items():
        if node not in wanted:
            delete += [pod["metadata"]["name"] for pod in pods if not is_being_deleted(pod)]
    for node in wanted:
        held = by_node.get(node, [])
        over = [pod for pod in held if pod_is_over(pod) and not is_being_deleted(pod)]
        delete += [pod["metadata"]["name"] for pod in over if not seconds_until_replaced(pod, now)]
        active = [pod for pod in held if not pod_is_over(pod) and not is_being_deleted(pod)]
        if not held:
            create.append(node)
            continue
        surging = _bounds(daemon_set, len(wanted))[1] > 0
        groups = [[pod for pod in active if is_new(pod, digest) is new] for new in (True, False)]
        if not surging:
            groups = [active]
        for group in groups:
            oldest_first = sorted(
                group, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])
            )
            delete += [pod["metadata"]["name"] for pod in oldest_first[1:]]
        new, old = groups[0], groups[-1]
        if surging and new and old and _available(daemon_set, new[0], now):
            delete += [pod["metadata"]["name"] for pod in old]
    return create, delete


def _rolling(
    daemon_set: Json, by_node: Mapping[str, list[Json]], wanted: Sequence[str], digest: str, now: datetime
) -> tuple[list[str], list[str]]:
    unavailable, surge = _bounds(daemon_set, len(wanted))
    out = 0
    broken, candidates = [], []
    create: list[str] = []
    surged = sum(len([pod for pod in by_node.get(node, ()) if not is_being_deleted(pod)]) > 1 for node in wanted)
    for node in wanted:
        active = [pod for pod in by_node.get(node, ()) if not pod_is_over(pod) and not is_being_deleted(pod)]
        old = [pod for pod in active if not is_new(pod, digest)]
        new = [pod for pod in active if is_new(pod, digest)]
        if not old:
            out += not (new and _available(daemon_set, new[0], now))
        elif not new and surge:
            if not _available(daemon_set, old[0], now):
                broken.append(old[0])
            elif surged + len(create) < surge:
                create.append(node)
        elif not new:
            if _available(daemon_set, old[0], now):
                candidates.append(old[0])
            else:
                out += 1
                broken.append(old[0])
    chosen = broken if surge else broken + candidates[: max(0, unavailable - out)]
    return create, [pod["metadata"]["name"] for pod in chosen]


def _status(
    daemon_set: Json, by_node: Mapping[str, list[Json]], wanted: Sequence[str], digest: str, now: datetime
) -> Json:
    current = ready = updated = available = misplaced = 0
    for node, pods in by_node.items():
        active = [pod for pod in pods if not pod_is_over(pod)]
        if node not in wanted:
            misplaced += bool(active)
            continue
        if not active:
            continue
        current += 1
        oldest = min(active, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
        ready += pod_is_ready(oldest) and not is_being_deleted(oldest)
        available += _available(daemon_set, oldest, now)
        updated += is_new(oldest, digest)
    return {
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
        "desiredNumberScheduled": len(wanted),
        "currentNumberScheduled": current,
        "numberMisscheduled": misplaced,
        "numberReady": ready,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }


def _bounds(daemon_set: Json, nodes: int) -> tuple[int, int]:
    """Give (maxUnavailable, maxSurge) as numbers; both round up."""
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    values = []
    for name, absent in (("maxUnavailable", 1), ("maxSurge", 0)):
        value = rolling.get(name, absent)
        values.append(value if isinstance(value, int) else math.ceil(int(value.removesuffix("%")) * nodes / 100))
    return values[0], values[1]


def is_new(pod: Json, digest: str) -> bool:
    """Tell whether the Pod is of the revision with that hash."""
    return labels_of(pod).get(HASH_LABEL) == digest


def _available(daemon_set: Json, pod: Json, now: datetime) -> bool:
    return not is_being_deleted(pod) and pod_is_ready(pod) and _seconds_left(daemon_set, pod, now) <= 0


def _seconds_left(daemon_set: Json, pod: Json, now: datetime) -> float:
    patience, since = daemon_set["spec"].get("minReadySeconds", 0), pod_ready_since(pod)
    if not patience or since is None:
        return 0.0
    return max(0.0, (since + timedelta(seconds=patience) - now).total_seconds())
