"""The columns of Pods, whose status is computed from their containers as Kubernetes' printer does. Pure but for the clock."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.contracts import Json

NONE = "<none>"


def _sidecars(pod: Json) -> set[str]:
    containers = pod.get("spec", {}).get("initContainers", ())
    return {container["name"] for container in containers if container.get("restartPolicy") == "Always"}


def ready(pod: Json) -> str:
    """Give ``ready/all``; native sidecars count."""
    sidecars = _sidecars(pod)
    status = pod.get("status", {})
    statuses = [*status.get("containerStatuses", ())]
    statuses += [one for one in status.get("initContainerStatuses", ()) if one["name"] in sidecars]
    total = len(pod.get("spec", {}).get("containers", ())) + len(sidecars)
    return f"{sum(bool(one.get('ready')) for one in statuses)}/{total}"


def _ended(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _initializing(pod: Json) -> str:
    """Give what the first unfinished init container says, or nothing when all are through."""
    statuses = pod.get("status", {}).get("initContainerStatuses", ())
    sidecars = _sidecars(pod)
    for index, status in enumerate(statuses):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if status["name"] in sidecars and status.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}"
        if waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(pod['spec'].get('initContainers', ()))}"
    return ""


def status_of(pod: Json) -> str:
    """Give the STATUS column."""
    status = pod.get("status", {})
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    initializing = _initializing(pod)
    if initializing:
        reason = initializing
    else:
        running = False
        for one in reversed(status.get("containerStatuses", ())):
            state = one.get("state") or {}
            waiting, terminated = state.get("waiting"), state.get("terminated")
            if waiting and waiting.get("reason"):
                reason = str(waiting["reason"])
            elif terminated is not None:
                reason = _ended(terminated)
            elif one.get("ready") and state.get("running") is not None:
                running = True
        if reason == "Completed" and running:
            is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
            reason = "Running" if is_ready else "NotReady"
    if pod["metadata"].get("deletionTimestamp") and status.get("reason") != "NodeLost":
        return "Terminating" if status.get("phase") not in ("Succeeded", "Failed") else reason
    return reason


def restarts(pod: Json) -> str:
    """Give the number of restarts and when the last one was."""
    status = pod.get("status", {})
    sidecars = _sidecars(pod)
    counted = [*status.get("containerStatuses", ())]
    counted += [one for one in status.get("initContainerStatuses", ()) if one["name"] in sidecars]
    count = sum(one.get("restartCount", 0) for one in counted)
    ended = [
        one["lastState"]["terminated"].get("finishedAt")
        for one in counted
        if (one.get("lastState") or {}).get("terminated")
    ]
    last = max((moment for moment in ended if moment), default=None)
    if not count or last is None:
        return str(count)
    from pytest_mesh.clusters.local.apiserver import tablecells

    passed = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(last)
    return f"{count} ({tablecells.human(passed)} ago)"


def _age(pod: Json) -> str:
    from pytest_mesh.clusters.local.apiserver import tablecells

    return tablecells.age(pod)


def _gates(pod: Json) -> str:
    gates = pod.get("spec", {}).get("readinessGates", ())
    if not gates:
        return NONE
    conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions", ())}
    return f"{sum(conditions.get(gate['conditionType']) == 'True' for gate in gates)}/{len(gates)}"


def _at(path: str) -> Callable[[Json], Any]:
    return lambda pod: objects.at(pod, path) or NONE


COLUMNS: tuple[tuple[str, Callable[[Json], Any]], ...] = (
    ("Ready", ready),
    ("Status", status_of),
    ("Restarts", restarts),
    ("Age", _age),
    ("*IP", _at("status.podIP")),
    ("*Node", _at("spec.nodeName")),
    ("*Nominated Node", _at("status.nominatedNodeName")),
    ("*Readiness Gates", _gates),
)
