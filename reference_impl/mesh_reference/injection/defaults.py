"""What an API server writes into containers and volumes that leave it out. Pure.

A pod that comes back for a second injection carries these values in its injected
parts; they are no difference, and a patch that took them away would only be undone.
It knows the kinds of fields that templates use, no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_ACTIONS = {"httpGet": {"path": "/", "scheme": "HTTP"}, "grpc": {"service": ""}}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
    "volumeMounts": [],
}
_SOURCES = {"configMap", "secret", "projected", "downwardAPI"}
_FILE_MODE = 0o644
_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where the API server mounts the ServiceAccount's token into every container of a pod, injected ones too."""


def settle(wanted: list[Json], present: list[Json], *, ours: set[str]) -> list[Json]:
    """``wanted``, with those of ``present`` in place of their namesakes which differ from them by defaults alone."""
    before = {item["name"]: item for item in present if item["name"] in ours}
    return [
        before[item["name"]] if item["name"] in before and same(item, before[item["name"]]) else item for item in wanted
    ]


def same(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether the API server makes the same container or volume of both."""
    completed = {**present}
    if "imagePullPolicy" not in wanted:
        completed.pop("imagePullPolicy", None)  # the default depends on the image's tag
    if not any(mount["mountPath"] == _ACCOUNT_MOUNT for mount in wanted.get("volumeMounts") or ()):
        mounts = completed.get("volumeMounts") or []
        completed["volumeMounts"] = [mount for mount in mounts if mount["mountPath"] != _ACCOUNT_MOUNT]
    return _plain(wanted) == _plain(completed)


def _plain(item: Mapping[str, Any]) -> Json:
    """The container or volume without what an API server adds."""
    found = {name: value for name, value in item.items() if value != _CONTAINER.get(name, ...)}
    for name in _PROBES:
        if name in found:
            found[name] = _probe(found[name])
    if "lifecycle" in found:
        found["lifecycle"] = {name: _handler(hook) for name, hook in found["lifecycle"].items()}
    if "env" in found:
        found["env"] = [_variable(entry) for entry in found["env"]]
    if "ports" in found:
        found["ports"] = [{"protocol": "TCP", **port} for port in found["ports"]]
    if "resources" in found:
        found["resources"] = _resources(found["resources"])
    for name in _SOURCES & found.keys():
        found[name] = _source(found[name])
    return found


def _probe(probe: Mapping[str, Any]) -> Json:
    return _handler({name: value for name, value in probe.items() if value != _PROBE.get(name, ...)})


def _handler(hook: Mapping[str, Any]) -> Json:
    found = dict(hook)
    for kind, defaults in _ACTIONS.items():
        if kind in found:
            found[kind] = {name: value for name, value in found[kind].items() if value != defaults.get(name, ...)}
    return found


def _variable(entry: Mapping[str, Any]) -> Json:
    """An empty value is none."""
    found = {name: value for name, value in entry.items() if (name, value) != ("value", "")}
    return {**found, "valueFrom": _reference(found["valueFrom"])} if "valueFrom" in found else found


def _reference(source: Mapping[str, Any]) -> Json:
    """A field of the pod is one of its version v1."""
    return {**source, "fieldRef": {"apiVersion": "v1", **source["fieldRef"]}} if "fieldRef" in source else dict(source)


def _resources(resources: Mapping[str, Any]) -> Json:
    """A limit is the request of its own resource where none is stated."""
    limits = resources.get("limits") or {}
    return {**resources, "requests": {**limits, **(resources.get("requests") or {})}}


def _source(source: Mapping[str, Any]) -> Json:
    found = {name: value for name, value in source.items() if (name, value) != ("defaultMode", _FILE_MODE)}
    return {**found, "items": [_reference(item) for item in found["items"]]} if "items" in found else found
