"""The environment of istio-proxy: what the agent is told (row §2.2, in Istio's order). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mesh_reference.injection import proxy_config
from mesh_reference.injection.frame import PROXY, Frame

Json = dict[str, Any]


def environment(frame: Frame) -> list[Json]:
    """All variables but those of probes and metrics, which come once these are settled."""
    settings, workload = frame.settings, frame.workload
    env = [
        {"name": "PILOT_CERT_PROVIDER", "value": "istiod"},
        {"name": "CA_ADDR", "value": f"{settings.discovery_host}:{settings.secure_port}"},
        _from_field("POD_NAME", "metadata.name"),
        _from_field("POD_NAMESPACE", "metadata.namespace"),
        _from_field("INSTANCE_IP", "status.podIP"),
        _from_field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        _from_field("HOST_IP", "status.hostIP"),
        _from_resource("ISTIO_CPU_LIMIT", "limits.cpu"),
        {"name": "PROXY_CONFIG", "value": proxy_config.render(frame.config)},
        {"name": "ISTIO_META_POD_PORTS", "value": json.dumps(_ports(frame), separators=(",", ":"))},
        {"name": "ISTIO_META_APP_CONTAINERS", "value": ",".join(frame.app_containers)},
        _from_resource("GOMEMLIMIT", "limits.memory"),
        _from_resource("GOMAXPROCS", "limits.cpu"),
        {"name": "ISTIO_META_CLUSTER_ID", "value": settings.cluster_id},
        _from_field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        {"name": "ISTIO_META_INTERCEPTION_MODE", "value": frame.interception_mode},
    ]
    if settings.network:
        env.append({"name": "ISTIO_META_NETWORK", "value": settings.network})
    name = frame.labels.get("service.istio.io/workload-name") or workload.name
    if name:
        env.append({"name": "ISTIO_META_WORKLOAD_NAME", "value": name})
    if workload.name:
        env.append({"name": "ISTIO_META_OWNER", "value": workload.reference})
    env.append({"name": "ISTIO_META_MESH_ID", "value": settings.mesh_id or settings.trust_domain})
    env.append({"name": "TRUST_DOMAIN", "value": settings.trust_domain})
    return [*env, *plain(frame.metadata)]


def _ports(frame: Frame) -> list[Json]:
    own = [container for container in frame.containers if container["name"] != PROXY]
    overridden = [container for container in frame.containers if container["name"] == PROXY]
    # The proxy's ports come last wherever its override stood, so that a second injection says the same.
    return [{"protocol": "TCP", **port} for container in (*own, *overridden) for port in container.get("ports") or ()]


def plain(values: Mapping[str, str]) -> list[Json]:
    """Variables with a value each, by name."""
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _from_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _from_resource(name: str, resource: str) -> Json:
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": "1"}}}
