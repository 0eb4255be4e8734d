"""The template ``sidecar``: istio-init and istio-proxy beside an application (row §2.2). Pure."""

from __future__ import annotations

from typing import Any

from mesh_reference.injection import capture_arguments, proxy_environment, proxy_files
from mesh_reference.injection.annotations import BIND_LOW_PORTS
from mesh_reference.injection.frame import INIT, PROXY, PROXY_UID, Frame
from mesh_reference.injection.templates import Rendering, pod_annotations, pod_labels, proxy_arguments

Json = dict[str, Any]


def render(frame: Frame) -> Rendering:
    """What a pod with these settings and annotations gets; ValueError for an annotation that is no JSON."""
    return Rendering(
        init=init_container(frame),
        proxy=proxy_container(frame),
        volumes=proxy_files.volumes(frame),
        labels={"security.istio.io/tlsMode": "istio", **pod_labels(frame)},
        annotations=pod_annotations(frame),
    )


def init_container(frame: Frame) -> Json | None:
    """istio-init, which puts the capture rules in place; None when interception is off."""
    if frame.interception_mode == "NONE":
        return None
    settings = frame.settings
    container: Json = {
        "name": INIT,
        "image": frame.image,
        "args": capture_arguments.arguments(frame),
        "resources": _resources(frame),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": False,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
    }
    if frame.metadata:
        container["env"] = proxy_environment.plain(frame.metadata)
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    return container


def proxy_container(frame: Frame) -> Json:
    """istio-proxy, with ``restartPolicy: Always`` when it is a native sidecar."""
    settings = frame.settings
    container: Json = {
        "name": PROXY,
        "image": frame.image,
        "args": proxy_arguments(frame, "sidecar"),
        "ports": [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}],
        "env": proxy_environment.environment(frame),
        "resources": _resources(frame),
        "securityContext": _security_context(frame),
        "volumeMounts": proxy_files.mounts(frame),
    }
    if frame.native:
        container["restartPolicy"] = "Always"
        # An agent that is to show no status listens there inside the pod all the same.
        port = frame.status_port or settings.status_port
        drain = [*settings.agent_command, "request", f"--debug-port={port}", "POST", "drain"]
        container["lifecycle"] = {"preStop": {"exec": {"command": drain}}}
    elif frame.hold:
        container["lifecycle"] = {"postStart": {"exec": {"command": [*settings.agent_command, "wait"]}}}
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    if frame.status_port:
        container |= _probes(frame)
    return container


def _probes(frame: Frame) -> Json:
    ready = {"path": "/healthz/ready", "port": 15021}
    timing = "readiness.status.sidecar.istio.io/"
    return {
        "startupProbe": {
            "httpGet": dict(ready),
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "timeoutSeconds": 3,
            "failureThreshold": 600,
        },
        "readinessProbe": {
            "httpGet": dict(ready),
            "initialDelaySeconds": int(frame.option(f"{timing}initialDelaySeconds", "0")),
            "periodSeconds": int(frame.option(f"{timing}periodSeconds", "15")),
            "timeoutSeconds": 3,
            "failureThreshold": int(frame.option(f"{timing}failureThreshold", "4")),
        },
    }


def _resources(frame: Frame) -> Json:
    chosen: Json = {}
    for kind, suffix in (("requests", ""), ("limits", "Limit")):
        values = {
            resource: frame.annotations[f"sidecar.istio.io/proxy{word}{suffix}"]
            for resource, word in (("cpu", "CPU"), ("memory", "Memory"))
            if f"sidecar.istio.io/proxy{word}{suffix}" in frame.annotations
        }
        if values:
            chosen[kind] = values
    return chosen or {kind: dict(values) for kind, values in frame.settings.resources.items()}


def _security_context(frame: Frame) -> Json:
    context: Json = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": PROXY_UID,
        "runAsGroup": PROXY_UID,
    }
    added = ["NET_ADMIN"] if frame.transparent else []
    if frame.annotations.get(BIND_LOW_PORTS) == "true":
        added.append("NET_BIND_SERVICE")
    if added:
        # A capability counts for root alone unless the program's file carries it.
        context |= {"runAsNonRoot": False, "runAsUser": 0, "capabilities": {"add": added, "drop": ["ALL"]}}
    return context
