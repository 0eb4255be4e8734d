"""Waits for pods to become Ready, and says at once when one cannot start: its events and last log lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure, WorkloadFailure, hidden
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.progress import SILENT, Monitor, Status

__tracebackhide__ = hidden

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CANNOT_START = _PULL | {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_LOG_LINES = 15
_PROVING_SECONDS = 0.5
"""How long a pod without readiness probes must stay Ready."""
_CREATE_GRACE = 2.0
"""Seconds that a ReplicaSet may fail to create its pods before that is reported (a webhook may come up late)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """So many Ready pods that a selector takes in."""

    labels: Mapping[str, str]
    expressions: tuple[Mapping[str, Any], ...] = ()
    """The selector's ``matchExpressions``."""
    replicas: int = 1
    daemon_set: str = ""
    """Name of the DaemonSet that says how many there are to be, in place of ``replicas``."""

    def matches(self, pod: Json) -> bool:
        """Whether the selector takes a pod in."""
        labels = pod["metadata"].get("labels") or {}
        return all(labels.get(key) == value for key, value in self.labels.items()) and all(
            _holds(one, labels) for one in self.expressions
        )

    def __str__(self) -> str:
        words = [f"{key}={value}" for key, value in self.labels.items()]
        words += [_told(one) for one in self.expressions]
        return f"{self.daemon_set or self.replicas} x {','.join(words)}"


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"selector: {key}: no operator {expression['operator']!r} is known")


def _told(expression: Mapping[str, Any]) -> str:
    values = f" ({','.join(expression['values'])})" if expression.get("values") else ""
    return f"{expression['key']} {expression['operator']}{values}"


def expected_of(document: Json) -> Expected | None:
    """Give what a document's pods are, for the kinds that make pods and keep them; None for others."""
    spec = document.get("spec") or {}
    if document["kind"] not in {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}:
        return None
    selector = spec.get("selector") or {}
    return Expected(
        labels=selector.get("matchLabels") or {},
        expressions=tuple(selector.get("matchExpressions") or ()),
        replicas=spec.get("replicas", 1),
        daemon_set=document["metadata"]["name"] if document["kind"] == "DaemonSet" else "",
    )


def _sized(kube: Kube, namespace: str, expected: Sequence[Expected]) -> list[Expected]:
    """Give all with their numbers; a DaemonSet that its controller has not counted yet keeps its name."""
    found = []
    for one in expected:
        if one.daemon_set:
            daemon_set = kube.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{one.daemon_set}")
            status = daemon_set.get("status") or {}
            if status.get("observedGeneration", 0) >= daemon_set["metadata"].get("generation", 1):
                one = replace(one, replicas=status.get("desiredNumberScheduled", 0), daemon_set="")  # noqa: PLW2901
        found.append(one)
    return found


def wait_ready(
    kube: Kube,
    namespace: str,
    expected: Sequence[Expected],
    *,
    names: Sequence[str] = (),
    seconds: float,
    monitor: Monitor = SILENT,
) -> list[Json]:
    """Wait for Ready pods by labels and by name; give them all.

    Raises ``WorkloadFailure`` as soon as one cannot start and when the budget is out.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"
    started = time.monotonic()
    deadline = started + seconds
    proving: int | None = None  # restarts so far of pods that are to stay Ready for a while
    while True:
        counted = _sized(kube, namespace, expected)
        number = sum(one.replicas for one in counted) + len(names)
        listed = kube.get(path)
        pods = {pod["metadata"]["name"]: pod for pod in listed.get("items") or ()}
        version = str((listed.get("metadata") or {}).get("resourceVersion", ""))
        watched = kube.watch(path, seconds=1.0, **({"resourceVersion": version} if version else {}))
        for event in _first_nothing(watched):
            if event is not None:
                kind, pod = event
                if kind == "ERROR":
                    break
                name = pod.get("metadata", {}).get("name", "")
                if kind == "DELETED":
                    pods.pop(name, None)
                elif kind in {"ADDED", "MODIFIED"}:
                    pods[name] = pod
            wanted = _wanted(pods, counted, names)
            _raise_for_problem(kube, namespace, wanted)
            ready = sum(map(is_ready, wanted))
            monitor.show(Status(phase="pods Ready", done=ready, total=number, of="pods", budget=seconds))
            if _complete(wanted, counted, names):
                restarts = sum(map(_restarts, wanted))
                if proving == restarts or all(map(_is_proven, wanted)):
                    monitor.waited(f"{number} pods Ready", time.monotonic() - started)
                    return wanted
                proving = restarts
                time.sleep(_PROVING_SECONDS)
                break  # and look anew
            proving = None
            if time.monotonic() > deadline:
                raise WorkloadFailure(_unready(kube, namespace, wanted, counted, names, seconds))
        if time.monotonic() - started > _CREATE_GRACE and not _complete(pods.values(), counted, names, ready=False):
            _raise_for_missing(kube, namespace)


def _is_proven(pod: Json) -> bool:
    """Whether Ready says more than "started": without a probe a container is Ready before it has failed. Pure."""
    return all("readinessProbe" in one for one in pod["spec"]["containers"])


def _restarts(pod: Json) -> int:
    return sum(one.get("restartCount", 0) for one in (pod.get("status") or {}).get("containerStatuses") or ())


def is_ready(pod: Json) -> bool:
    """Whether a pod is Ready and is not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def problem(pod: Json) -> tuple[str, str, str] | None:
    """Give (container, reason, message) of what keeps a pod from starting, or None. Pure."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _CANNOT_START:
            return one["name"], waiting["reason"], waiting.get("message", "")
    if status.get("phase") == "Failed":
        return "", status.get("reason", "") or "Failed", status.get("message", "")
    return None


def describe(kube: Kube, namespace: str, pod: Json) -> str:
    """Give a pod's events and the last log lines of its containers that have not become ready."""
    name = pod["metadata"]["name"]
    lines = [f"events of {name}:"]
    lines += [f"  {text}" for text in _events(kube, namespace, name)] or ["  (none)"]
    status = pod.get("status") or {}
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if one.get("ready"):
            continue
        for previous in (False, True):
            try:
                log = kube.logs(namespace, name, one["name"], lines=_LOG_LINES, previous=previous)
            except (KubeError, Infrastructure):
                continue
            if log.strip():
                lines.append(f"last lines of {name}/{one['name']}:")
                lines += [f"  {line}" for line in log.rstrip().splitlines()]
                break
    return "\n".join(lines)


def _first_nothing(events: Iterator[tuple[str, Json]]) -> Iterator[tuple[str, Json] | None]:
    yield None
    yield from events


def _wanted(pods: Mapping[str, Json], expected: Sequence[Expected], names: Sequence[str]) -> list[Json]:
    return [
        pod
        for name, pod in sorted(pods.items())
        if not pod["metadata"].get("deletionTimestamp") and (name in names or any(one.matches(pod) for one in expected))
    ]


def _complete(pods: object, expected: Sequence[Expected], names: Sequence[str], *, ready: bool = True) -> bool:
    present = [pod for pod in pods if not ready or is_ready(pod)]  # type: ignore[attr-defined]
    found = {pod["metadata"]["name"] for pod in present}
    return found.issuperset(names) and all(
        not one.daemon_set and sum(map(one.matches, present)) >= one.replicas for one in expected
    )


def _raise_for_problem(kube: Kube, namespace: str, pods: Sequence[Json]) -> None:
    for pod in pods:
        found = problem(pod)
        if found is None:
            continue
        container, reason, message = found
        name = pod["metadata"]["name"]
        lines = [f"pod {namespace}/{name} cannot start: {container}: {reason}: {message}"]
        if reason in _PULL:
            lines.append(
                "this cluster does not know the image; mesh_namespace.stand_in(name) runs an echo workload in its place"
            )
        raise WorkloadFailure("\n".join([*lines, describe(kube, namespace, pod)]))


def _raise_for_missing(kube: Kube, namespace: str) -> None:
    """Report a ReplicaSet or Deployment whose pods the API server refuses."""
    for text in _read_events(kube, namespace, "", reason="FailedCreate"):
        raise WorkloadFailure(f"namespace {namespace}: pods are not created: {text}")


def _events(kube: Kube, namespace: str, name: str) -> list[str]:
    try:
        return _read_events(kube, namespace, name)
    except (KubeError, Infrastructure) as error:
        return [f"(no events: {error})"]


def _read_events(kube: Kube, namespace: str, name: str, *, reason: str = "") -> list[str]:
    events = kube.list(f"/api/v1/namespaces/{namespace}/events")
    return [
        f"{event.get('type', '')} {event.get('reason', '')}: {event.get('message', '')}"
        for event in events
        if (not name or (event.get("involvedObject") or {}).get("name") == name)
        and (not reason or event.get("reason") == reason)
    ]


def _unready(
    kube: Kube,
    namespace: str,
    pods: Sequence[Json],
    expected: Sequence[Expected],
    names: Sequence[str],
    seconds: float,
) -> str:
    wanted = ", ".join([*map(str, expected), *(f"pod {name}" for name in names)])
    lines = [f"namespace {namespace}: not Ready within {seconds:g} s: {wanted}"]
    late = [pod for pod in pods if not is_ready(pod)]
    lines += [describe(kube, namespace, pod) for pod in late] or _events(kube, namespace, "") or ["no pod was created"]
    return "\n".join(lines)
