"""The template ``gateway``: a pod that is nothing but an Envoy at the mesh's edge. Pure.

It captures no traffic and always is a regular container: Gateways say what it listens on.
"""

from __future__ import annotations

from typing import Any

from mesh_reference.injection import proxy_environment, proxy_files
from mesh_reference.injection.frame import PROXY, PROXY_UID, Frame
from mesh_reference.injection.templates import Rendering, pod_annotations, pod_labels, proxy_arguments

Json = dict[str, Any]

LOW_PORTS = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
"""So that port 80 needs no capability."""


def render(frame: Frame) -> Rendering:
    """What the pod gets; ValueError for an annotation that is no JSON."""
    return Rendering(
        init=None,
        proxy=_proxy(frame),
        volumes=[volume for volume in proxy_files.volumes(frame) if volume["name"] != proxy_files.REVOCATIONS],
        labels=pod_labels(frame),
        annotations=pod_annotations(frame),
        sysctls=(LOW_PORTS,),
    )


def _proxy(frame: Frame) -> Json:
    container: Json = {
        "name": PROXY,
        "image": frame.image,
        "args": proxy_arguments(frame, "router"),
        "ports": [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}],
        "env": proxy_environment.environment(frame),
        "securityContext": {"runAsUser": PROXY_UID, "runAsGroup": PROXY_UID},
        "readinessProbe": {
            "httpGet": {"path": "/healthz/ready", "port": 15021},
            "initialDelaySeconds": 0,
            "periodSeconds": 15,
            "timeoutSeconds": 3,
            "failureThreshold": 4,
        },
        "volumeMounts": [mount for mount in proxy_files.mounts(frame) if mount["name"] != proxy_files.REVOCATIONS],
    }
    if frame.settings.image_pull_policy:
        container["imagePullPolicy"] = frame.settings.image_pull_policy
    return container
