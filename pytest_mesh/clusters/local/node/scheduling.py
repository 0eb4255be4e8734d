"""The scheduler of a cluster with one node: does the Pod fit it, and if so, the binding.

:func:`obstacle` is pure. Resource requests are not weighed: the node promises
more than it has, for tests ask for more than a laptop holds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiError
from pytest_mesh.clusters.local.node.parts import NODE_NAME, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.clusters.local.node.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of the Node decides which Pods it takes."""

    labels: Mapping[str, str] = field(default_factory=dict)
    unschedulable: bool = False
    taints: tuple[tuple[str, str, str], ...] = ()
    """(key, value, effect)."""

    @classmethod
    def of(cls, node: Json) -> Place:
        """Read a Node."""
        spec = node.get("spec") or {}
        taints = tuple((each["key"], each.get("value") or "", each["effect"]) for each in spec.get("taints") or ())
        labels = node["metadata"].get("labels") or {}
        return cls(labels=labels, unschedulable=bool(spec.get("unschedulable")), taints=taints)


def obstacle(pod: Json, place: Place) -> str:
    """Give why the Pod cannot run on the node; empty when it can."""
    spec, labels = pod["spec"], place.labels
    scheduler = spec.get("schedulerName") or "default-scheduler"
    if scheduler != "default-scheduler":
        return f"there is no scheduler {scheduler!r} in the embedded cluster"
    tolerations = spec.get("tolerations") or ()
    if place.unschedulable and not _tolerated(("node.kubernetes.io/unschedulable", "", "NoSchedule"), tolerations):
        return "0/1 nodes are available: 1 node(s) were unschedulable"
    for taint in place.taints:
        if taint[2] != "PreferNoSchedule" and not _tolerated(taint, tolerations):
            return f"0/1 nodes are available: 1 node(s) had untolerated taint {{{taint[0]}: {taint[1]}}}"
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return f"0/1 nodes are available: 1 node(s) didn't match Pod's node selector ({key}={value})"
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        if (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            return f"required {kind} is not supported by the embedded cluster, which has one node"
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required:
        terms = required.get("nodeSelectorTerms") or ()
        if not any(all(_matches(each, labels) for each in term.get("matchExpressions") or ()) for term in terms):
            return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity"
    return ""


def _tolerated(taint: tuple[str, str, str], tolerations: Sequence[Json]) -> bool:
    key, value, effect = taint
    return any(
        each.get("key", key) == key
        and each.get("effect", effect) == effect
        and (each.get("operator") == "Exists" or (each.get("value") or "") == value)
        for each in tolerations
    )


def _matches(expression: Json, labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], list(expression.get("values") or ())
    value = labels.get(key)
    if operator in {"Gt", "Lt"}:
        try:
            left, right = int(value or ""), int(values[0])
        except ValueError:
            return False
        return left > right if operator == "Gt" else left < right
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }.get(operator, False)


async def schedule(pod: Json, place: Place, client: ApiClient, events: EventRecorder) -> None:
    """Bind the Pod to the node, or say loudly in its status and an event why not."""
    if pod["spec"].get("schedulingGates"):
        return  # its owner opens them with an update, which comes here again
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    reason = obstacle(pod, place)
    try:
        if not reason:
            binding = {
                "kind": "Binding",
                "apiVersion": "v1",
                "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
                "target": {"kind": "Node", "apiVersion": "v1", "name": NODE_NAME},
            }
            await client.create(f"{path}/binding", binding)
            message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {NODE_NAME}"
            events.record(pod, "Normal", "Scheduled", message, component="default-scheduler")
            return
        old = (pod.get("status") or {}).get("conditions") or ()
        if any(each["type"] == "PodScheduled" and each.get("message") == reason for each in old):
            return
        events.record(pod, "Warning", "FailedScheduling", reason, component="default-scheduler")
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": reason,
            "lastTransitionTime": now(),
        }
        others = [each for each in old if each["type"] != "PodScheduled"]
        status = {"phase": "Pending", "conditions": [*others, condition]}
        await client.patch(f"{path}/status", {"metadata": {"uid": metadata["uid"]}, "status": status})
    except ApiError as error:
        if error.status not in {404, 409}:  # gone, or bound by somebody else
            log.warning("%s not scheduled: %s", path, error)
