"""What one look at a Job calls for: Pods to create and delete, and its status.

Pure: (Job, its Pods, time) -> Plan. Completions, parallelism, indexes, back-off,
deadlines, suspension and the conditions that ``kubectl wait`` reads. Each ended
Pod is counted once: it bears a finalizer until it is, as kube-controller-manager
does it. Pod failure policies, success policies and back-off per index are
refused by the API server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.controllers.objects import (
    condition,
    format_time,
    is_being_deleted,
    labels_of,
    parse_time,
    pod_is_ready,
    with_condition,
)
from pytest_mesh.clusters.local.controllers.owned_pods import pod_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_mesh.contracts import Json

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
_BACK_OFF_FIRST = 10.0
_BACK_OFF_LONGEST = 600.0
"""Seconds, kube-controller-manager's: between the failure of a Pod and its successor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do."""

    create: tuple[Json, ...] = ()
    delete: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    """Names of Pods to take the finalizer from, once ``uncounted`` is written."""
    uncounted: Json = field(default_factory=dict)
    """``status.uncountedTerminatedPods`` to write before the finalizers go; empty = nothing new."""
    status: Json
    """The status after that."""
    again: float | None = None
    remove: bool = False
    """The Job has outlived its ttlSecondsAfterFinished."""


def plan(job: Json, pods: Sequence[Json], now: datetime) -> Plan:
    """Decide over the Pods that this Job controls."""
    spec, old = job["spec"], job.get("status") or {}
    if is_finished(job):
        return _finished(job, pods, now)
    tally = _Tally.of(job, pods)
    active = [pod for pod in pods if _is_active(pod)]
    terminating = [pod for pod in pods if is_being_deleted(pod) and _phase(pod) not in {"Succeeded", "Failed"}]
    suspended = bool(spec.get("suspend"))
    start = old.get("startTime")
    conditions: list[Json] = list(old.get("conditions") or ())
    before = condition(job, "Suspended")
    if not suspended and start is None:
        start = format_time(now)
    if suspended and (before is None or before["status"] != "True") and not is_being_deleted(job):
        conditions = with_condition(conditions, _condition("Suspended", "JobSuspended", "Job suspended", now))
        start = None
    elif not suspended and before is not None and before["status"] == "True":
        resumed = {**_condition("Suspended", "JobResumed", "Job resumed", now), "status": "False"}
        conditions = with_condition(conditions, resumed)
        start = format_time(now)
    verdict = None if suspended else _verdict(spec, tally, pods, start, now, old)
    create: tuple[Json, ...] = ()
    delete: tuple[str, ...] = ()
    waits = []
    if is_being_deleted(job):
        verdict = None
    elif verdict is not None or suspended:
        delete = tuple(pod["metadata"]["name"] for pod in active)
    else:
        wait = _back_off(tally, pods, now)
        create, delete = _level(job, active, terminating, tally, ready=wait <= 0)
        waits = [each for each in (wait, _deadline(spec, start, now)) if each is not None and each > 0]
    if verdict is not None:
        goal, kind, reason, message = verdict
        conditions = with_condition(conditions, _condition(goal, reason, message, now))
        if not active and not terminating:
            conditions = with_condition(conditions, _condition(kind, reason, message, now))
    gone = len(delete)
    status: Json = {
        "active": len(active) - gone + len(create),
        "ready": sum(pod_is_ready(pod) for pod in active if pod["metadata"]["name"] not in delete),
        "terminating": len(terminating) + gone,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "uncountedTerminatedPods": {},
    }
    if spec.get("completionMode") == "Indexed" and tally.indexes:
        status["completedIndexes"] = shown_indexes(tally.indexes)
    if start is not None:
        status["startTime"] = start
    if conditions:
        status["conditions"] = conditions
    if verdict is not None and verdict[1] == "Complete" and any(one["type"] == "Complete" for one in conditions):
        status["completionTime"] = format_time(now)
    return Plan(
        create=create,
        delete=delete,
        counted=tally.to_release,
        uncounted=tally.uncounted,
        status=status,
        again=min(waits, default=None),
    )


def is_finished(job: Json) -> bool:
    """Tell whether the Job is complete or has failed."""
    return any((entry := condition(job, kind)) and entry["status"] == "True" for kind in ("Complete", "Failed"))


def new_pod(job: Json, index: int | None) -> Json:
    """Give a Pod of the Job; ``index`` for an indexed one."""
    name = job["metadata"]["name"]
    template = job["spec"]["template"]
    pod = pod_of(job, template, generateName=f"{name}-" if index is None else f"{name}-{index}-")
    pod["metadata"]["finalizers"] = [*pod["metadata"]["finalizers"], FINALIZER]
    if index is not None:
        pod["metadata"]["labels"][INDEX] = pod["metadata"]["annotations"][INDEX] = str(index)
        reference = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
        variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": reference}
        pod["spec"] = {**pod["spec"], "hostname": f"{name}-{index}"}
        for kind in ("initContainers", "containers"):
            if kind in pod["spec"]:
                pod["spec"][kind] = [
                    {
                        **one,
                        "env": [*(each for each in one.get("env") or () if each["name"] != variable["name"]), variable],
                    }
                    for one in pod["spec"][kind]
                ]
    return pod


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """How many Pods have ended, in all of the Job's life."""

    succeeded: int
    failed: int
    indexes: frozenset[int]
    uncounted: Json
    to_release: tuple[str, ...]

    @classmethod
    def of(cls, job: Json, pods: Iterable[Json]) -> _Tally:
        status = job.get("status") or {}
        held = status.get("uncountedTerminatedPods") or {}
        known = {kind: list(held.get(kind) or ()) for kind in ("succeeded", "failed")}
        fresh, release = False, []
        indexes = set(read_indexes(status.get("completedIndexes") or ""))
        for pod in pods:
            kind, uid = _ended(pod), pod["metadata"]["uid"]
            if kind is not None and FINALIZER in (pod["metadata"].get("finalizers") or ()):
                release.append(pod["metadata"]["name"])
                if uid not in known["succeeded"] and uid not in known["failed"]:
                    fresh = True
                    known[kind].append(uid)
            if uid in known["succeeded"] and (index := index_of(pod)) is not None:
                indexes.add(index)
        indexed = job["spec"].get("completionMode") == "Indexed"
        succeeded = len(indexes) if indexed else int(status.get("succeeded") or 0) + len(known["succeeded"])
        return cls(
            succeeded=succeeded,
            failed=int(status.get("failed") or 0) + len(known["failed"]),
            indexes=frozenset(indexes),
            uncounted={kind: uids for kind, uids in known.items() if uids} if fresh else {},
            to_release=tuple(release),
        )


def _finished(job: Json, pods: Sequence[Json], now: datetime) -> Plan:
    status = {**(job.get("status") or {}), "active": 0}
    release = [pod["metadata"]["name"] for pod in pods if FINALIZER in (pod["metadata"].get("finalizers") or ())]
    patience = job["spec"].get("ttlSecondsAfterFinished")
    over = next(entry for kind in ("Complete", "Failed") if (entry := condition(job, kind)) is not None)
    again = None
    if patience is not None and not is_being_deleted(job):
        ended = parse_time(status.get("completionTime") or over["lastTransitionTime"])
        again = (ended + timedelta(seconds=patience) - now).total_seconds()
    if again is not None and again <= 0:
        return Plan(status=status, counted=tuple(release), remove=True)
    return Plan(status=status, counted=tuple(release), again=again)


def _verdict(
    spec: Json, tally: _Tally, pods: Sequence[Json], start: str | None, now: datetime, old: Json
) -> tuple[str, str, str, str] | None:
    """Give (the condition that comes first, the last one, reason, message) of a Job that is to end."""
    for entry in old.get("conditions") or ():
        last = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}.get(entry["type"])
        if last is not None and entry["status"] == "True":
            return entry["type"], last, entry["reason"], entry["message"]
    limit, wanted = spec.get("backoffLimit", 6), spec.get("completions")
    if tally.failed > limit or _restarts(spec, pods) >= max(limit, 1):
        why = "Job has reached the specified backoff limit"
        return "FailureTarget", "Failed", "BackoffLimitExceeded", why
    left = _deadline(spec, start, now)
    if left is not None and left <= 0:
        return "FailureTarget", "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
    active = any(_is_active(pod) for pod in pods)
    done = tally.succeeded > 0 and not active if wanted is None else tally.succeeded >= wanted
    if done:
        why = "Reached expected number of succeeded pods"
        return "SuccessCriteriaMet", "Complete", "CompletionsReached", why
    return None


def _restarts(spec: Json, pods: Iterable[Json]) -> int:
    if (spec["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
        return 0
    count = 0
    for pod in pods:
        if _phase(pod) in {"Pending", "Running"}:
            status = pod.get("status") or {}
            every = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
            count += sum(one.get("restartCount") or 0 for one in every)
    return count


def _level(
    job: Json, active: Sequence[Json], terminating: Sequence[Json], tally: _Tally, *, ready: bool
) -> tuple[tuple[Json, ...], tuple[str, ...]]:
    """Bring the number of active Pods to what is wanted."""
    spec = job["spec"]
    parallelism, wanted = spec.get("parallelism", 1), spec.get("completions")
    if wanted is None:
        target = len(active) if tally.succeeded else parallelism
    else:
        target = min(parallelism, max(0, wanted - tally.succeeded))
    indexed = spec.get("completionMode") == "Indexed"
    surplus = _surplus(active, wanted, tally) if indexed and wanted is not None else []
    kept = [pod for pod in active if pod not in surplus]
    if len(kept) > target:
        youngest_first = sorted(kept, key=lambda pod: (pod_is_ready(pod), _negative_age(pod)))
        surplus += youngest_first[: len(kept) - target]
    count = min(target, parallelism) - len(kept)
    if spec.get("podReplacementPolicy") == "Failed":
        count -= len(terminating)
    create: list[Json] = []
    if count > 0 and ready and not surplus:
        if indexed and wanted is not None:
            held = {index_of(pod) for pod in kept} | tally.indexes
            free = (index for index in range(wanted) if index not in held)
            create = [new_pod(job, index) for _, index in zip(range(count), free, strict=False)]
        else:
            create = [new_pod(job, None) for _ in range(count)]
    return tuple(create), tuple(pod["metadata"]["name"] for pod in surplus)


def _surplus(active: Sequence[Json], wanted: int, tally: _Tally) -> list[Json]:
    """Give the Pods whose index is done, taken or out of range."""
    seen: set[int] = set(tally.indexes)
    result = []
    for pod in sorted(active, key=lambda pod: (not pod_is_ready(pod), -_negative_age(pod))):
        index = index_of(pod)
        if index is None or index >= wanted or index in seen:
            result.append(pod)
        else:
            seen.add(index)
    return result


def _back_off(tally: _Tally, pods: Iterable[Json], now: datetime) -> float:
    """Give the seconds until the next Pod may be made; 0 = at once."""
    ends = sorted(_finished_at(pod) for pod in pods if _ended(pod) == "failed" and not is_being_deleted(pod))
    wins = [_finished_at(pod) for pod in pods if _ended(pod) == "succeeded"]
    in_a_row = [end for end in ends if not wins or end > max(wins)]
    if not tally.failed or not in_a_row:
        return 0.0
    pause = min(_BACK_OFF_FIRST * 2.0 ** min(len(in_a_row) - 1, 10), _BACK_OFF_LONGEST)
    return max(0.0, (in_a_row[-1] + timedelta(seconds=pause) - now).total_seconds())


def _deadline(spec: Json, start: str | None, now: datetime) -> float | None:
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is None or start is None:
        return None
    return (parse_time(start) + timedelta(seconds=seconds) - now).total_seconds()


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _is_active(pod: Json) -> bool:
    return _phase(pod) not in {"Succeeded", "Failed"} and not is_being_deleted(pod)


def _ended(pod: Json) -> str | None:
    """Give how the Pod counts; a deleted one has failed, whatever becomes of it."""
    if _phase(pod) == "Succeeded":
        return "succeeded"
    return "failed" if _phase(pod) == "Failed" or is_being_deleted(pod) else None


def _finished_at(pod: Json) -> datetime:
    ends = [
        parse_time(ended["finishedAt"])
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
        if (ended := (one.get("state") or {}).get("terminated")) and ended.get("finishedAt")
    ]
    return max(ends, default=parse_time(pod["metadata"]["creationTimestamp"]))


def _negative_age(pod: Json) -> float:
    return -parse_time(pod["metadata"]["creationTimestamp"]).timestamp()


def index_of(pod: Json) -> int | None:
    """Give the Pod's completion index."""
    text = labels_of(pod).get(INDEX) or (pod["metadata"].get("annotations") or {}).get(INDEX)
    return int(text) if text is not None and text.isdigit() else None


def shown_indexes(indexes: Iterable[int]) -> str:
    """Write indexes as the API does: ``0-2,5``."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(
        str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}" for first, last in runs
    )


def read_indexes(text: str) -> Iterable[int]:
    """Read what :func:`shown_indexes` writes."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _condition(kind: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    stamp = format_time(now)
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
    }
