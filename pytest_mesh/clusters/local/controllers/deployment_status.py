"""What a Deployment's status says: counts, and the conditions Available, Progressing and ReplicaFailure.

Pure. Reasons and messages are those that ``kubectl rollout status`` and ``kubectl wait`` read.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.controllers.objects import condition, format_time, parse_time, with_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pytest_mesh.contracts import Json


def status_of(
    deployment: Json, newest: Json | None, alive: Sequence[Json], now: datetime, *, created: bool = False
) -> Json:
    """Give the status, conditions included."""
    old_status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    replicas = total(alive, "replicas")
    available = total(alive, "availableReplicas")
    status: Json = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": replicas,
        "updatedReplicas": total([newest], "replicas") if newest else 0,
        "readyReplicas": total(alive, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(item["spec"]["replicas"] for item in alive) - available),
    }
    if old_status.get("collisionCount"):
        status["collisionCount"] = old_status["collisionCount"]
    enough = available >= wanted - bounds(deployment)[1]
    stamp = format_time(now)
    conditions: list[Json] = list(old_status.get("conditions") or ())
    conditions = with_condition(
        conditions,
        {
            "type": "Available",
            "status": "True" if enough else "False",
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
            "lastUpdateTime": stamp,
            "lastTransitionTime": stamp,
        },
    )
    progressing = _progressing(deployment, newest, status, now, created=created)
    if progressing is not None:
        conditions = with_condition(conditions, progressing)
    failures = [entry for item in alive if (entry := condition(item, "ReplicaFailure")) is not None]
    conditions = [entry for entry in conditions if entry["type"] != "ReplicaFailure"] + failures[:1]
    status["conditions"] = _without_mere_restamps(old_status.get("conditions") or (), conditions)
    return status


def _progressing(deployment: Json, newest: Json | None, status: Json, now: datetime, *, created: bool) -> Json | None:
    """Give the Progressing condition; None = it stays as it is."""
    spec = deployment["spec"]
    old_status = deployment.get("status") or {}
    before = condition(deployment, "Progressing")
    wanted = spec.get("replicas", 1)
    stamp = format_time(now)
    set_name = newest["metadata"]["name"] if newest else ""

    def say(good: str, reason: str, message: str) -> Json:
        return {
            "type": "Progressing",
            "status": good,
            "reason": reason,
            "message": message,
            "lastUpdateTime": stamp,
            "lastTransitionTime": stamp,
        }

    if spec.get("paused"):
        if before is not None and before["reason"] == "DeploymentPaused":
            return None
        return say("Unknown", "DeploymentPaused", "Deployment is paused")
    if before is not None and before["reason"] == "DeploymentPaused":
        return say("Unknown", "DeploymentResumed", "Deployment is resumed")
    if created:
        return say("True", "NewReplicaSetCreated", f'Created new replica set "{set_name}"')
    if (
        newest is not None
        and status["updatedReplicas"] == wanted
        and status["replicas"] == wanted
        and status["availableReplicas"] == wanted
    ):
        if before is not None and before["reason"] == "NewReplicaSetAvailable" and set_name in before["message"]:
            return None
        return say("True", "NewReplicaSetAvailable", f'ReplicaSet "{set_name}" has successfully progressed.')
    moved = any(
        (status[name] or 0) > (old_status.get(name) or 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    ) or (status["replicas"] - status["updatedReplicas"]) < (
        (old_status.get("replicas") or 0) - (old_status.get("updatedReplicas") or 0)
    )
    template_changed = before is not None and newest is not None and set_name not in before["message"]
    finished = before is not None and before["reason"] == "NewReplicaSetAvailable"
    if moved or before is None or (template_changed and finished):
        return say("True", "ReplicaSetUpdated", f'ReplicaSet "{set_name}" is progressing.')
    if finished or before["status"] == "False":
        return None
    left = deadline(spec, {"conditions": [before]}, now)
    if left is not None and left <= 0:
        return say("False", "ProgressDeadlineExceeded", f'ReplicaSet "{set_name}" has timed out progressing.')
    return None


def bounds(deployment: Json) -> tuple[int, int]:
    """Give (maxSurge, maxUnavailable) as numbers: surge rounds up, unavailable down, never both 0."""
    spec = deployment["spec"]
    wanted = spec.get("replicas", 1)
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def count(item: Json, name: str) -> int:
    """Give one count of a ReplicaSet's status."""
    return int((item.get("status") or {}).get(name) or 0)


def total(items: Iterable[Json], name: str) -> int:
    """Give the sum of one count over ReplicaSets."""
    return sum(count(item, name) for item in items)


def deadline(spec: Json, status: Json, now: datetime) -> float | None:
    """Give the seconds until progress is overdue; None when nothing is awaited."""
    patience = spec.get("progressDeadlineSeconds", 600)
    for entry in status.get("conditions") or ():
        if entry["type"] == "Progressing":
            if spec.get("paused") or entry["status"] != "True" or entry["reason"] == "NewReplicaSetAvailable":
                return None
            return (parse_time(entry["lastUpdateTime"]) + timedelta(seconds=patience) - now).total_seconds()
    return None


def _without_mere_restamps(old: Iterable[Json], new: Iterable[Json]) -> list[Json]:
    """Keep an old condition where only its lastUpdateTime differs and it does not count time."""
    before = {entry["type"]: entry for entry in old}
    result = []
    for entry in new:
        previous = before.get(entry["type"])
        unchanged = previous is not None and all(
            previous.get(name) == entry[name] for name in ("status", "reason", "message")
        )
        result.append(previous if unchanged and previous and entry["type"] != "Progressing" else entry)
    return result


def _share(value: int | str, whole: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    return math.ceil(percent * whole / 100) if up else percent * whole // 100
