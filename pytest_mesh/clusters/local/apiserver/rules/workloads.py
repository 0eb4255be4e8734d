"""The rules of what makes Pods: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs. Pure."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver.rules.faults import (
    IMMUTABLE,
    NOT_NEGATIVE,
    forbidden,
    labels,
    named,
    not_negative,
    one_of,
    required,
    selector,
    selects,
    share,
    unsupported,
    wrong,
)
from pytest_mesh.clusters.local.apiserver.rules.pods import pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

FOREVER = ("Always",)
ENDING = ("OnFailure", "Never")
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"


def _common(obj: Json, old: Json | None, kind: str) -> Iterator[Cause]:
    """Check selector and template of a kind whose Pods run for ever."""
    spec = obj["spec"]
    chosen, template = spec.get("selector"), spec.get("template") or {}
    carried = (template.get("metadata") or {}).get("labels") or {}
    if chosen is None:
        yield required("spec.selector")
    else:
        faults = [*selector(chosen, "spec.selector")]
        yield from faults
        if not chosen.get("matchLabels") and not chosen.get("matchExpressions"):
            yield wrong("spec.selector", chosen, f"empty selector is invalid for {kind}")
        if faults:
            yield wrong("spec.selector", chosen, "invalid label selector")
        elif not selects(chosen, carried):
            yield wrong("spec.template.metadata.labels", carried, "`selector` does not match template `labels`")
        if old is not None and kind != "statefulset" and chosen != old["spec"].get("selector"):
            yield wrong("spec.selector", chosen, IMMUTABLE)
    yield from labels(carried, "spec.template.metadata.labels")
    inner = template.get("spec") or {}
    yield from pod_spec(inner, "spec.template.spec")
    if inner.get("restartPolicy", "Always") not in FOREVER:
        yield unsupported("spec.template.spec.restartPolicy", inner["restartPolicy"], FOREVER)
    if inner.get("activeDeadlineSeconds") is not None:
        where = {"statefulset": "StatefulSet", "daemonset": "DaemonSet"}.get(kind, "ReplicaSet")
        why = f"activeDeadlineSeconds in {where} is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", why)


def replica_set(obj: Json, old: Json | None) -> Iterator[Cause]:
    """Check a ReplicaSet."""
    yield from not_negative(obj["spec"], "spec", "replicas", "minReadySeconds")
    yield from _common(obj, old, "deployment")


def deployment(obj: Json, old: Json | None) -> Iterator[Cause]:
    """Check a Deployment."""
    spec = obj["spec"]
    yield from not_negative(spec, "spec", "replicas")
    yield from _common(obj, old, "deployment")
    yield from _strategy(spec.get("strategy") or {}, "spec.strategy")
    yield from not_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        yield from not_negative(spec, "spec", "progressDeadlineSeconds")
        if deadline <= spec.get("minReadySeconds", 0):
            yield wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _strategy(strategy: Json, at: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(f"{at}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind != "RollingUpdate":
        yield unsupported(at, {"Type": kind, "RollingUpdate": rolling}, ("Recreate", "RollingUpdate"))
    elif rolling is not None:
        less, more = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        yield from share(less, f"{at}.rollingUpdate.maxUnavailable")
        yield from share(more, f"{at}.rollingUpdate.maxSurge")
        if _is_none(less) and _is_none(more):
            yield wrong(f"{at}.rollingUpdate.maxUnavailable", less, "may not be 0 when `maxSurge` is 0")
        yield from (
            fault for fault in share(less, f"{at}.rollingUpdate.maxUnavailable", most=True) if "100%" in fault.message
        )


def _is_none(value: Any) -> bool:
    return value in (0, "0%")


def stateful_set(obj: Json, old: Json | None) -> Iterator[Cause]:
    """Check a StatefulSet."""
    spec = obj["spec"]
    policy, strategy = spec.get("podManagementPolicy"), spec.get("updateStrategy") or {}
    if policy not in (None, "", "OrderedReady", "Parallel"):
        yield wrong("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    if strategy.get("type", "") not in ("", "RollingUpdate", "OnDelete"):
        shown = {"Type": strategy["type"], "RollingUpdate": strategy.get("rollingUpdate")}
        yield wrong("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'")
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "OnDelete" and rolling is not None:
        shown = {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}
        yield wrong("spec.updateStrategy.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    yield from not_negative(rolling or {}, "spec.updateStrategy.rollingUpdate", "partition")
    for name in ("whenDeleted", "whenScaled"):
        retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
        at = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
        yield from one_of(at, retention.get(name), ("Retain", "Delete"), ordered=False)
    yield from not_negative(spec, "spec", "replicas", "minReadySeconds")
    if ((spec.get("ordinals") or {}).get("start") or 0) < 0:
        yield wrong("spec.ordinals.start", spec["ordinals"]["start"], NOT_NEGATIVE)
    if old is None and spec.get("serviceName"):
        yield from named("spec.serviceName", spec["serviceName"], "label")
    yield from _common(obj, old, "statefulset")
    if old is not None and _fixed(spec) != _fixed(old["spec"]):
        yield forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )


def _fixed(spec: Json) -> Json:
    """Give what no update of a StatefulSet may change."""
    return {name: spec.get(name) for name in ("serviceName", "selector", "podManagementPolicy", "volumeClaimTemplates")}


def daemon_set(obj: Json, old: Json | None) -> Iterator[Cause]:
    """Check a DaemonSet."""
    spec = obj["spec"]
    yield from _common(obj, old, "daemonset")
    yield from not_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") not in ("RollingUpdate", "OnDelete"):
        shown = {"Type": strategy["type"], "RollingUpdate": strategy.get("rollingUpdate")}
        yield unsupported("spec.updateStrategy", shown, ("RollingUpdate", "OnDelete"), ordered=False)
    elif (rolling := strategy.get("rollingUpdate")) is not None:
        at = "spec.updateStrategy.rollingUpdate"
        less, more = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        yield from share(less, f"{at}.maxUnavailable", most=True)
        yield from share(more, f"{at}.maxSurge", most=True)
        if not _is_none(less) and not _is_none(more):
            yield wrong(f"{at}.maxSurge", more, "may not be set when maxUnavailable is non-zero")
        elif _is_none(less) and _is_none(more):
            yield required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def job(obj: Json, old: Json | None) -> Iterator[Cause]:
    """Check a Job."""
    spec = obj.get("spec") or {}
    if old is None and not spec.get("manualSelector"):
        own = {"matchLabels": {CONTROLLER_UID: obj["metadata"].get("uid")}}
        if spec.get("selector") not in (None, own):
            yield wrong("spec.selector", spec["selector"], "`selector` not auto-generated")
    elif spec.get("manualSelector") and spec.get("selector") is not None:
        carried = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if not selects(spec["selector"], carried or {}):
            yield wrong("spec.template.metadata.labels", carried, "`selector` does not match template `labels`")
    yield from _job(spec, "spec")
    if old is not None:
        before = old["spec"]
        for name in ("completions", "selector", "template", "completionMode", "podFailurePolicy"):
            if name == "completions" and spec.get("completionMode") == "Indexed":
                continue  # an elastic one: completions and parallelism change together
            placed = name == "template" and _may_be_placed_anew(old)
            form = _unplaced if placed else _as_it_is
            if form(spec.get(name)) != form(before.get(name)):
                yield wrong(f"spec.{name}", spec.get(name), IMMUTABLE)


def _may_be_placed_anew(job: Json) -> bool:
    """Say whether a Job is suspended and has never begun, so that its template may still change."""
    return bool(job["spec"].get("suspend")) and not (job.get("status") or {}).get("startTime")


def _as_it_is(value: Any) -> Any:
    return value


def _unplaced(template: Any) -> Json:
    """Give a Job's template without what may change as long as it is suspended and has not begun."""
    metadata = {
        key: value for key, value in template.get("metadata", {}).items() if key not in ("labels", "annotations")
    }
    spec = dict(template.get("spec") or {})
    for name in ("nodeSelector", "tolerations", "schedulingGates"):
        spec.pop(name, None)
    affinity = {key: value for key, value in (spec.pop("affinity", None) or {}).items() if key != "nodeAffinity"}
    return {"metadata": metadata, "spec": spec, "affinity": affinity}


def controller_revision(obj: Json, old: Json | None) -> Iterator[Cause]:
    """Check a ControllerRevision."""
    if obj.get("revision", 0) < 0:
        yield wrong("revision", obj["revision"], NOT_NEGATIVE)
    if old is not None and obj.get("data") != old.get("data"):
        yield wrong("data", obj.get("data"), IMMUTABLE)
    elif obj.get("data") is None:
        yield required("data", "data is mandatory")


def _job(spec: Json, at: str) -> Iterator[Cause]:
    yield from not_negative(
        spec, at, "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"
    )
    yield from one_of(f"{at}.completionMode", spec.get("completionMode"), ("NonIndexed", "Indexed"), ordered=False)
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        yield required(f"{at}.completions", "when completion mode is Indexed")
    inner = (spec.get("template") or {}).get("spec") or {}
    yield from pod_spec(inner, f"{at}.template.spec")
    policy = inner.get("restartPolicy", "Always")
    if policy not in ENDING:
        yield required(f"{at}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def cron_job(obj: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a CronJob."""
    spec = obj.get("spec") or {}
    schedule, zone = spec.get("schedule", ""), spec.get("timeZone")
    if not schedule:
        yield required("spec.schedule")
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        words = schedule.split()
        yield wrong("spec.schedule", schedule, f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    if zone is not None:
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, IsADirectoryError):
            yield wrong("spec.timeZone", zone, f"unknown time zone {zone}")
    yield from one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    yield from not_negative(
        spec, "spec", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"
    )
    yield from _job((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
