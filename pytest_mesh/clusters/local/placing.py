"""Does a Pod fit a node? Taints, node selectors and node affinity. Pure.

Resource requests are not weighed: the node promises more than it has, for tests ask for more than a laptop holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_mesh.contracts import Json


_NONE: Final = "0/1 nodes are available: "
_NO_HELP: Final = (
    ". no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)
"""What kube-scheduler adds; ``kubectl describe`` shows it of a Pod that waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of the Node decides which Pods it takes."""

    name: str = ""
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
        return cls(
            name=node["metadata"]["name"], labels=labels, unschedulable=bool(spec.get("unschedulable")), taints=taints
        )


def obstacle(pod: Json, place: Place) -> str:
    """Give why the Pod cannot run on the node; empty when it can."""
    spec, labels = pod["spec"], place.labels
    scheduler = spec.get("schedulerName") or "default-scheduler"
    if scheduler != "default-scheduler":
        return f"there is no scheduler {scheduler!r} in the embedded cluster"
    tolerations = spec.get("tolerations") or ()
    if place.unschedulable and not _tolerated(("node.kubernetes.io/unschedulable", "", "NoSchedule"), tolerations):
        return _NONE + "1 node(s) were unschedulable" + _NO_HELP
    for taint in place.taints:
        if taint[2] != "PreferNoSchedule" and not _tolerated(taint, tolerations):
            return f"{_NONE}1 node(s) had untolerated taint {{{taint[0]}: {taint[1]}}}{_NO_HELP}"
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
        if not any(_term_matches(term, place) for term in terms):
            return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity"
    return ""


def tolerates(toleration: Json, taint: Json) -> bool:
    """Tell whether one toleration covers one taint; one without a key or an effect covers all of them."""
    return (
        (toleration.get("key") or taint["key"]) == taint["key"]
        and (toleration.get("effect") or taint["effect"]) == taint["effect"]
        and (toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or ""))
    )


def _tolerated(taint: tuple[str, str, str], tolerations: Sequence[Json]) -> bool:
    key, value, effect = taint
    return any(tolerates(each, {"key": key, "value": value, "effect": effect}) for each in tolerations)


def _term_matches(term: Json, place: Place) -> bool:
    """Judge one nodeSelectorTerm; an empty one matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    return bool(expressions or fields) and (
        all(_matches(each, place.labels) for each in expressions)
        and all(_matches(each, {"metadata.name": place.name}) for each in fields)
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
