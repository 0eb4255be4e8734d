"""What templates have in common: the shape of what they give, and the labels and annotations of an injected pod. Pure.

The functions are total: a pod without any sidecar and a `Frame` in, fresh objects
out. Merging them into the pod is `injector`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh_reference.injection.frame import Frame

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What a template adds to one pod. Labels count where the pod has none of its own."""

    init: Json | None
    """istio-init, when there is capture to set up."""
    proxy: Json
    volumes: list[Json]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    sysctls: tuple[Json, ...] = ()
    """For the pod's security context."""


def pod_labels(frame: Frame) -> dict[str, str]:
    """Labels that the pod gets where it has none of its own."""
    own = frame.labels
    name = own.get("app.kubernetes.io/name") or own.get("app") or frame.workload.name
    return {
        "service.istio.io/canonical-name": name[:63].strip("-_."),
        "service.istio.io/canonical-revision": own.get("app.kubernetes.io/version") or own.get("version") or "latest",
    }


def pod_annotations(frame: Frame) -> dict[str, str]:
    """Annotations that the pod gets: the revision always, kubectl's defaults where it has none of its own."""
    found = {"istio.io/rev": frame.settings.revision or "default"}
    names = frame.app_containers
    for name in ("kubectl.kubernetes.io/default-logs-container", "kubectl.kubernetes.io/default-container"):
        if names and name not in frame.annotations:
            found[name] = names[0]
    return found


def proxy_arguments(frame: Frame, role: str) -> list[str]:
    """The arguments of the agent; ``role`` is sidecar or router."""
    settings = frame.settings
    return [
        "proxy",
        role,
        "--domain",
        f"$(POD_NAMESPACE).svc.{settings.domain}",
        f"--proxyLogLevel={frame.option('sidecar.istio.io/logLevel', settings.proxy_log_level)}",
        f"--proxyComponentLogLevel={frame.option('sidecar.istio.io/componentLogLevel', settings.component_log_level)}",
        f"--log_output_level={frame.option('sidecar.istio.io/agentLogLevel', settings.agent_log_level)}",
    ]
