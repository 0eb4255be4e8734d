"""What updates of StatefulSets, DaemonSets, Jobs and ControllerRevisions may change, and how tables show them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from families.samples import container, workload
from scenes import Scene, get, merge, named, post, put, scene

Json = dict[str, Any]
SETS, DAEMONS, REVISIONS = (
    named("apps/v1", plural) for plural in ("statefulsets", "daemonsets", "controllerrevisions")
)
JOBS = named("batch/v1", "jobs")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
WHY = ("kind", "message", "reason", "code", "details")
NOTED = {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
OTHERS = {"selector": {"matchLabels": {"app": "one", "b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}


def job(name: str = "one", **spec: Any) -> Json:
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec},
    }  # fmt: skip


def strategy(kind: str, rolling: Json | None = None) -> Json:
    return {"spec": {"updateStrategy": {"type": kind, "rollingUpdate": rolling}}}


def scenes() -> Iterator[Scene]:
    one = named("apps/v1", "statefulsets", "one")
    yield scene(
        "workloads", "statefulsets", post(SETS, workload("StatefulSet", serviceName="one")),
        merge(one, {"spec": {"serviceName": "other"}}), merge(one, {"spec": OTHERS}), merge(one, {"spec": {"podManagementPolicy": "Parallel"}}),
        merge(one, {"spec": {"replicas": 3, **NOTED["spec"]}}), merge(one, strategy("OnDelete", {})), merge(one, strategy("OnDelete")),
        merge(one, strategy("RollingUpdate", {"partition": -1})), merge(one, {"spec": {"ordinals": {"start": -1}}}), merge(one, {"spec": {"ordinals": {"start": 2}}}),
        merge(f"{one}/scale", {"spec": {"replicas": 5}}), merge(one, {"spec": {"minReadySeconds": 4, "revisionHistoryLimit": 2}}), get(one),
        post(SETS, workload("StatefulSet", "two", serviceName="Bad_Name"), only=WHY), post(SETS, workload("StatefulSet", "three")),
        post(SETS, workload("StatefulSet", "four", persistentVolumeClaimRetentionPolicy={"whenDeleted": "Odd"}), only=WHY),
        post(SETS, workload("StatefulSet", "five", updateStrategy={"rollingUpdate": {"maxUnavailable": 2}})), get(SETS, accept=TABLE, only=("rows[].cells",)),
    )  # fmt: skip
    one = named("apps/v1", "daemonsets", "one")
    rolling = ({"maxUnavailable": 1, "maxSurge": 1}, {"maxUnavailable": 0}, {"maxUnavailable": 0, "maxSurge": "150%"}, {"maxUnavailable": "30%", "maxSurge": 0})  # fmt: skip
    yield scene(
        "workloads", "daemonsets", post(DAEMONS, workload("DaemonSet")), merge(one, {"spec": OTHERS}), merge(one, NOTED), merge(one, {"spec": {"minReadySeconds": 3}}),
        merge(one, strategy("OnDelete")), merge(one, {"metadata": {"annotations": {"deprecated.daemonset.template.generation": "9"}}}),
        *(post(DAEMONS, workload("DaemonSet", f"r{index}", updateStrategy={"rollingUpdate": each})) for index, each in enumerate(rolling)),
        get(DAEMONS, accept=TABLE, only=("rows[].cells",)),
    )  # fmt: skip
    one = named("batch/v1", "jobs", "one")
    later = named("batch/v1", "jobs", "later")
    yield scene(
        "workloads", "jobs", post(JOBS, job(completions=3, parallelism=2)), merge(one, {"spec": {"completions": 4}}), merge(one, {"spec": {"parallelism": 4}}),
        merge(one, {"spec": {"completionMode": "Indexed"}}), merge(one, NOTED), merge(one, {"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
        merge(one, {"spec": {"ttlSecondsAfterFinished": 5, "activeDeadlineSeconds": 9, "backoffLimit": 1}}),
        post(JOBS, job("two", completionMode="Indexed")), post(JOBS, job("three", completionMode="Indexed", completions=2)), post(JOBS, job("four", parallelism=2)),
        post(JOBS, job("five", manualSelector=True, selector={"matchLabels": {"a": "b"}}), only=WHY), post(JOBS, {**job("six"), "metadata": {"name": "six", "labels": {"x": "y"}}}),
        post(JOBS, job("later", suspend=True)), merge(later, {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}),
        merge(later, {"spec": {"template": {"spec": {"containers": [container(image="z:2")]}}}}), merge(later, {"spec": {"suspend": False}}),
        get(JOBS, accept=TABLE, only=("rows[].cells",)),
    )  # fmt: skip
    one = named("apps/v1", "controllerrevisions", "one")
    body: Json = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "one"}, "data": {"spec": {"a": 1}}, "revision": 3}  # fmt: skip
    yield scene(
        "workloads", "revisions", post(REVISIONS, body), put(one, {**body, "revision": 4}), put(one, {**body, "data": {"spec": {"a": 2}}}), merge(one, {"revision": 5}), get(one),
        post(REVISIONS, {"metadata": {"name": "two"}, "revision": -1}), get(REVISIONS, accept=TABLE, only=("rows[].cells",)),
    )  # fmt: skip
