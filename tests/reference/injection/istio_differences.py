"""Where an injected pod differs from one that Istio's injector makes, each with its reason; and the comparison.

`judge_injection` takes exactly these away before it compares, and docs/injection.md lists them.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_DEFAULTS = {"protocol": "TCP", "scheme": "HTTP", "timeoutSeconds": 1, "initialDelaySeconds": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One that is meant: where (names of workloads and paths, as expressions) and why."""

    what: str
    why: str
    workloads: str = ".*"
    paths: str = ""
    """Empty: it is taken away before the comparison, because it is a matter of form."""


DIFFERENCES = (
    Difference(
        what="programs",
        why="images are this mesh's own, and the agent is `refmesh agent` where Istio runs `pilot-agent`",
    ),
    Difference(
        what="order",
        why="environment, mounts and volumes are compared by name: added volumes come after the user's here, before them there",
    ),
    Difference(
        what="defaults",
        why="what the API server fills in (protocol TCP, scheme HTTP, timeoutSeconds 1, initialDelaySeconds 0) is written out "
        "here, so that a pod from a file and one from the API give the same text",
    ),
    Difference(
        what="metadata of a CronJob",
        why="Istio's kube-inject writes labels and annotations, the status too, to `spec.jobTemplate`, where no pod has them; "
        "its webhook writes them to the pod, and so does `refmesh kube-inject`",
        workloads="scheduled",
        paths=r"/spec/jobTemplate/(spec/template/)?metadata",
    ),
    Difference(
        what="a probe of a port that the container does not declare",
        why="left as it is: Istio sends it to the agent, which does not know it and always fails it",
        workloads="probed",
        paths=r"/spec/template/spec/containers/1/readinessProbe/httpGet/(path|port)",
    ),
    Difference(
        what="status port 0",
        why="probes and metrics stay the application's: Istio moves the probes to port 0 and the metrics to 15020, where nothing answers; "
        "the drain at the end goes to the agent's port inside the pod",
        workloads="unasked",
        paths=r"/metadata/annotations/prometheus.io|/spec/containers/\d/livenessProbe"
        r"|/spec/(initC|c)ontainers/\d/env/ISTIO_KUBE_APP_PROBERS|/spec/initContainers/1/lifecycle/preStop",
    ),
    Difference(
        what="another status port",
        why="the annotation moves the metrics too: Istio's point to 15020, where its agent does not listen then",
        workloads="moved",
        paths=r"/metadata/annotations/prometheus.io/port",
    ),
    Difference(
        what="TPROXY with an overridden user",
        why="the proxy is root in either mesh, so `-u` keeps to 1337: Istio writes the overridden user there, and an application of that "
        "user would not be captured",
        workloads="transparent",
        paths=r"/spec/initContainers/\d/args/6",
    ),
    Difference(
        what="proxy.istio.io/overrides",
        why="names the list in which the user wrote the container, so that a later injection of the other kind finds it",
        workloads="overridden|transparent",
        paths=r"(/spec/template)?/metadata/annotations/proxy.istio.io/overrides/",
    ),
)


def compare(ours: Json, theirs: Json) -> list[str]:
    """Lines that say where they differ, differences of form taken away."""
    return sorted(_walk(_plain(ours), _plain(theirs), ""))


def meant(workload: str, line: str) -> Difference | None:
    """The listed difference that the line is, if any."""
    path = line.partition(": ")[0]
    return next(
        (
            item
            for item in DIFFERENCES
            if item.paths and re.fullmatch(item.workloads, workload) and re.match(item.paths, path)
        ),
        None,
    )


def _plain(value: Json) -> Json:
    result: Json = copy.deepcopy(value)
    result.pop("status", None)  # Go's types print one with zeros
    for spec in _specs(result):
        for field in ("containers", "initContainers"):
            if field in spec:
                spec[field] = [_container(item) for item in spec[field]]
        spec["volumes"] = {volume["name"]: volume for volume in spec.get("volumes") or ()}
    found: Json = _pruned(result)
    return found


def _specs(value: Any) -> list[Json]:
    if isinstance(value, dict):
        own = [value["spec"]] if isinstance(value.get("spec"), dict) and "containers" in value["spec"] else []
        return own + [spec for item in value.values() for spec in _specs(item)]
    return []


def _container(item: Json) -> Json:
    for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
        if field in item:  # their order means nothing
            item[field] = {entry[key]: entry for entry in item[field]}
    if item["name"] in {"istio-proxy", "istio-init"} and item.get("image", "").partition("/")[0] != "example":
        item["image"] = "the proxy's"
    return item


def _pruned(value: Any) -> Any:
    """Empty values and absent ones are one; JSON in a string is JSON."""
    if isinstance(value, dict):
        found = {name: _pruned(item) for name, item in value.items()}
        return {
            name: item for name, item in found.items() if item not in (None, {}, [], "") and not _default(name, item)
        }
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    if isinstance(value, str) and value.strip()[:1] in {"{", "["}:
        try:
            return _pruned(json.loads(value))
        except json.JSONDecodeError:
            return value
    return value.strip() if isinstance(value, str) else value


def _default(name: str, value: Any) -> bool:
    return name in _DEFAULTS and _DEFAULTS[name] == value


def _walk(ours: Any, theirs: Any, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for name in {*ours, *theirs}
            for line in _walk(ours.get(name, "(absent)"), theirs.get(name, "(absent)"), f"{path}/{name}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line
            for index, pair in enumerate(zip(ours, theirs, strict=True))
            for line in _walk(*pair, f"{path}/{index}")
        ]
    return [] if ours == theirs else [f"{path}: ours {json.dumps(ours)}, theirs {json.dumps(theirs)}"]
