"""Probes and lifecycle hooks of the application, led through the agent (row §2.4.5).

The kubelet has no client certificate, so under STRICT mTLS its HTTP, TCP and gRPC
probes would fail: they become GETs of ``/app-health/...`` at the agent, which makes
the original one from inside the pod. `restore` is the exact inverse.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

_PROBES = (("readinessProbe", "readyz"), ("livenessProbe", "livez"), ("startupProbe", "startupz"))
_HOOKS = (("preStop", "prestopz"), ("postStart", "poststartz"))
_PROBE_HANDLERS = ("httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("httpGet", "tcpSocket")
_DEFAULTS: dict[str, Json] = {"httpGet": {"path": "/", "scheme": "HTTP"}, "grpc": {"service": ""}}


def rewrite(containers: Sequence[Json], skip: str, status_port: int) -> dict[str, Json]:
    """Rewrites in place all containers but ``skip``; answers path -> original, the content of ISTIO_KUBE_APP_PROBERS.

    A probe whose named port the container does not declare is left alone: nobody could make it.
    """
    originals: dict[str, Json] = {}
    for container in containers:
        if container["name"] == skip:
            continue
        ports = {port["name"]: port["containerPort"] for port in container.get("ports") or () if port.get("name")}
        for holder, field, path, handlers in _places(container):
            original = _original(holder[field], handlers, ports, status_port)
            if original is None:
                continue
            originals[path] = original
            holder[field] = _redirected(holder[field], path, status_port)
    return originals


def restore(containers: Sequence[Json], originals: Mapping[str, Json]) -> None:
    """Puts the originals back in place, where a probe still points at the agent."""
    for container in containers:
        for holder, field, path, _handlers in _places(container):
            probe = holder[field]
            original = originals.get(path)
            if original is None or (probe.get("httpGet") or {}).get("path") != path:
                continue
            kept = {name: value for name, value in probe.items() if name != "httpGet"}
            handler = next(name for name in _PROBE_HANDLERS if name in original)
            holder[field] = {**kept, handler: copy.deepcopy(original[handler])}


def _places(container: Json) -> list[tuple[Json, str, str, tuple[str, ...]]]:
    name = container["name"]
    places: list[tuple[Json, str, str, tuple[str, ...]]] = [
        (container, field, f"/app-health/{name}/{word}", _PROBE_HANDLERS)
        for field, word in _PROBES
        if container.get(field)
    ]
    lifecycle = container.get("lifecycle") or {}
    places += [
        (lifecycle, field, f"/app-lifecycle/{name}/{word}", _HOOK_HANDLERS)
        for field, word in _HOOKS
        if lifecycle.get(field)
    ]
    return places


def _original(probe: Json, handlers: tuple[str, ...], ports: Mapping[str, int], status_port: int) -> Json | None:
    handler = next((name for name in handlers if probe.get(name)), None)
    if handler is None:
        return None
    action = copy.deepcopy(probe[handler])
    if handler != "grpc":
        port = action.get("port")
        if isinstance(port, str):
            if port not in ports:
                return None
            action["port"] = ports[port]
        elif port == status_port:
            return None
    # What the API server would fill in, so that a pod from a file and one from the API give the same text.
    original: Json = {handler: {**_DEFAULTS.get(handler, {}), **action}}
    if handlers is _PROBE_HANDLERS:
        original["timeoutSeconds"] = probe.get("timeoutSeconds") or 1
    return original


def _redirected(probe: Json, path: str, status_port: int) -> Json:
    # The agent speaks plain HTTP here; it makes the original with the original's scheme.
    action = {**(probe.get("httpGet") or {}), "path": path, "port": status_port, "scheme": "HTTP"}
    kept = {name: value for name, value in probe.items() if name not in _PROBE_HANDLERS}
    return {**kept, "httpGet": action}
