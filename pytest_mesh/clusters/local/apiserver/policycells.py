"""The columns that ``kubectl get`` shows of kinds that rule over others: bindings of roles, budgets, scalers, priorities. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import objects, tablecells

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.contracts import Json

    Cell = Callable[[Json], Any]


def _role(obj: Json) -> str:
    return f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"


def _subjects(kind: str) -> Cell:
    def cell(obj: Json) -> str:
        found = [one for one in obj.get("subjects") or () if one.get("kind") == kind]
        return ", ".join(f"{one['namespace']}/{one['name']}" if one.get("namespace") else one["name"] for one in found)

    return cell


def _or_absent(path: str) -> Cell:
    def cell(obj: Json) -> str:
        value = objects.at(obj, path)
        return "N/A" if value is None else str(value)

    return cell


def _scaled(obj: Json) -> str:
    target = obj["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _targets(obj: Json) -> str:
    """Give what is measured of each metric beside what is wanted; nothing is measured here."""
    found = []
    for metric in obj["spec"].get("metrics") or ():
        source = metric.get(metric["type"][0].lower() + metric["type"][1:]) or {}
        target = source.get("target") or {}
        wanted = target.get("averageValue") or target.get("value")
        if target.get("averageUtilization") is not None:
            wanted = f"{target['averageUtilization']}%"
        name = f"{source['name']}: " if metric["type"] == "Resource" else ""
        found.append(f"{name}<unknown>/{wanted or '<auto>'}")
    shown = ", ".join(found[:2])
    return f"{shown} + {len(found) - 2} more..." if len(found) > 2 else shown or tablecells.NONE


_BINDING: tuple[tuple[str, Cell], ...] = (
    ("Role", _role),
    ("Age", tablecells.age),
    ("Users", _subjects("User")),
    ("Groups", _subjects("Group")),
    ("ServiceAccounts", _subjects("ServiceAccount")),
)

COLUMNS: dict[str, tuple[tuple[str, Cell], ...]] = {
    "rolebindings.rbac.authorization.k8s.io": _BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDING,
    "poddisruptionbudgets.policy": (
        ("Min Available", _or_absent("spec.minAvailable")),
        ("Max Unavailable", _or_absent("spec.maxUnavailable")),
        ("Allowed Disruptions", lambda obj: objects.at(obj, "status.disruptionsAllowed") or 0),
        ("Age", tablecells.age),
    ),
    "horizontalpodautoscalers.autoscaling": (
        ("Reference", _scaled),
        ("Targets", _targets),
        ("MinPods", lambda obj: str(objects.at(obj, "spec.minReplicas") or "<unset>")),
        ("MaxPods", lambda obj: obj["spec"]["maxReplicas"]),
        ("Replicas", lambda obj: objects.at(obj, "status.currentReplicas") or 0),
        ("Age", tablecells.age),
    ),
    "priorityclasses.scheduling.k8s.io": (
        ("Value", lambda obj: obj.get("value") or 0),
        ("Global-Default", lambda obj: bool(obj.get("globalDefault"))),
        ("Age", tablecells.age),
        ("PreemptionPolicy", lambda obj: obj.get("preemptionPolicy") or ""),
    ),
}
