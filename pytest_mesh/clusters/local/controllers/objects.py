"""Reading Kubernetes objects: owners, selectors, pod conditions, times.

Pure; changes no object.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_mesh.contracts import Json

_LEAST_LIFE = 5.0


def controller_of(item: Json) -> Json | None:
    """Give the ownerReference with ``controller: true``."""
    for reference in item["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Json = reference
            return found
    return None


def owner_reference(owner: Json) -> Json:
    """Give the controlling ownerReference to ``owner``."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def labels_of(item: Json) -> Mapping[str, str]:
    """Give the labels; an object without any gives an empty mapping."""
    labels: Mapping[str, str] = item["metadata"].get("labels") or {}
    return labels


def is_being_deleted(item: Json) -> bool:
    """Tell whether a deletion has begun."""
    return "deletionTimestamp" in item["metadata"]


def matches_labels(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Judge a Service's selector (equality only)."""
    return all(labels.get(name) == value for name, value in wanted.items())


def matches_selector(selector: Json, labels: Mapping[str, str]) -> bool:
    """Judge a LabelSelector (matchLabels and matchExpressions); ValueError for an unknown operator."""
    if not matches_labels(selector.get("matchLabels") or {}, labels):
        return False
    for expression in selector.get("matchExpressions") or ():
        value = labels.get(expression["key"])
        operator = expression["operator"]
        if operator == "In":
            good = value in expression["values"]
        elif operator == "NotIn":
            good = value not in expression["values"]
        elif operator == "Exists":
            good = value is not None
        elif operator == "DoesNotExist":
            good = value is None
        else:
            raise ValueError(f"unknown operator {operator!r} in a label selector")
        if not good:
            return False
    return True


def condition(item: Json, kind: str) -> Json | None:
    """Give the entry of ``status.conditions`` of this type."""
    for entry in (item.get("status") or {}).get("conditions") or ():
        if entry["type"] == kind:
            found: Json = entry
            return found
    return None


def pod_is_ready(pod: Json) -> bool:
    """Tell whether the condition Ready is True."""
    entry = condition(pod, "Ready")
    return entry is not None and entry["status"] == "True"


def pod_is_over(pod: Json) -> bool:
    """Tell whether the Pod has ended and will not run again."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def seconds_until_replaced(pod: Json, now: datetime) -> float:
    """Give the seconds for which a Pod that has ended is left before its successor takes its place; 0 = replace it.

    Without them a Pod that the node refuses would be made again and again as fast as the API answers.
    """
    created = parse_time(pod["metadata"]["creationTimestamp"])
    return max(0.0, _LEAST_LIFE - (now - created).total_seconds())


def pod_ready_since(pod: Json) -> datetime | None:
    """Give when the pod became ready; None when it is not."""
    entry = condition(pod, "Ready")
    if entry is None or entry["status"] != "True":
        return None
    return parse_time(entry.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"])


def parse_time(text: str) -> datetime:
    """Read a timestamp of the API."""
    return datetime.fromisoformat(text)


def format_time(moment: datetime) -> str:
    """Write a timestamp as the API does, in whole seconds of UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_condition(conditions: Iterable[Json], new: Json) -> list[Json]:
    """Give ``conditions`` with ``new`` in its type's place; the old transition time stays when the status does."""
    result = []
    placed = False
    for old in conditions:
        if old["type"] != new["type"]:
            result.append(old)
            continue
        placed = True
        if old["status"] == new["status"] and "lastTransitionTime" in old:
            new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
        result.append(new)
    if not placed:
        result.append(new)
    return result
