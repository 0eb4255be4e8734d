"""What is injected, as plain data: containers, volumes, labels, annotations (row §2.2).

The functions are total and pure: a pod without any sidecar and a `Frame` in, fresh
objects out. Merging them into the pod is `injector`'s work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_reference.injection import proxy_config
from mesh_reference.injection.annotations import (
    INTERCEPTION_MODE,
    REROUTE_INTERFACES,
    STATUS_PORT,
    TRAFFIC,
)
from mesh_reference.injection.owner import Workload
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]

PROXY = "istio-proxy"
INIT = "istio-init"
PROXY_UID = 1337


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Everything that the template is filled with."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: Sequence[Mapping[str, Any]]
    """The pod's own containers, a user's istio-proxy among them."""
    workload: Workload
    settings: InjectionSettings
    config: Mapping[str, Any]
    """The effective ProxyConfig of this pod."""
    native: bool
    """Whether the proxy is an init container that keeps running."""

    @property
    def interception_mode(self) -> str:
        return self.annotations.get(INTERCEPTION_MODE) or str(self.config.get("interceptionMode") or "REDIRECT")

    @property
    def status_port(self) -> int:
        return int(self.annotations.get(STATUS_PORT) or self.config.get("statusPort") or self.settings.status_port)

    @property
    def hold(self) -> bool:
        """Whether the application waits for the proxy; native sidecars start first anyway."""
        return bool(self.config.get("holdApplicationUntilProxyStarts")) and not self.native

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.config.get("proxyMetadata") or {}

    @property
    def app_containers(self) -> list[str]:
        return [str(container["name"]) for container in self.containers if container["name"] != PROXY]

    def option(self, name: str, default: str) -> str:
        return self.annotations.get(name, default)


def init_container(frame: Frame) -> Json | None:
    """istio-init, which puts the capture rules in place; None when interception is off."""
    if frame.interception_mode == "NONE":
        return None
    settings = frame.settings
    container: Json = {
        "name": INIT,
        "image": _image(frame),
        "args": _iptables_arguments(frame),
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
        container["env"] = _plain(frame.metadata)
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    return container


def _iptables_arguments(frame: Frame) -> list[str]:
    settings = frame.settings
    excluded = _excluded_ports(
        frame.status_port, frame.option(f"{TRAFFIC}excludeInboundPorts", settings.exclude_inbound_ports)
    )
    arguments = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", str(PROXY_UID), "-m", frame.interception_mode]
    arguments += ["-i", frame.option(f"{TRAFFIC}includeOutboundIPRanges", settings.include_outbound_ranges)]
    arguments += ["-x", frame.option(f"{TRAFFIC}excludeOutboundIPRanges", settings.exclude_outbound_ranges)]
    arguments += ["-b", frame.option(f"{TRAFFIC}includeInboundPorts", settings.include_inbound_ports)]
    arguments += ["-d", ",".join(["15090", "15021", *excluded])]
    for flag, name, default in (
        ("-q", f"{TRAFFIC}includeOutboundPorts", settings.include_outbound_ports),
        ("-o", f"{TRAFFIC}excludeOutboundPorts", settings.exclude_outbound_ports),
    ):
        if name in frame.annotations or default:
            arguments += [flag, frame.option(name, default)]
    rerouted = REROUTE_INTERFACES if REROUTE_INTERFACES in frame.annotations else f"{TRAFFIC}kubevirtInterfaces"
    if rerouted in frame.annotations:
        arguments += ["-k", frame.annotations[rerouted]]
    if f"{TRAFFIC}excludeInterfaces" in frame.annotations:
        arguments += ["-c", frame.annotations[f"{TRAFFIC}excludeInterfaces"]]
    return [
        *arguments,
        f"--log_output_level={frame.option('sidecar.istio.io/agentLogLevel', settings.agent_log_level)}",
    ]


def _excluded_ports(status_port: int, excluded: str) -> list[str]:
    ports = [port.strip() for port in excluded.split(",") if port.strip()]
    return ports if not status_port or str(status_port) in ports else [*ports, str(status_port)]


def proxy_container(frame: Frame) -> Json:
    """istio-proxy, with ``restartPolicy: Always`` when it is a native sidecar."""
    settings = frame.settings
    container: Json = {
        "name": PROXY,
        "image": _image(frame),
        "args": [
            "proxy",
            "sidecar",
            "--domain",
            f"$(POD_NAMESPACE).svc.{settings.domain}",
            f"--proxyLogLevel={frame.option('sidecar.istio.io/logLevel', settings.proxy_log_level)}",
            "--proxyComponentLogLevel="
            + frame.option("sidecar.istio.io/componentLogLevel", settings.component_log_level),
            f"--log_output_level={frame.option('sidecar.istio.io/agentLogLevel', settings.agent_log_level)}",
        ],
        "ports": [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}],
        "env": _environment(frame),
        "resources": _resources(frame),
        "securityContext": _security_context(),
        "volumeMounts": _mounts(frame),
    }
    if frame.native:
        container["restartPolicy"] = "Always"
        drain = [*settings.agent_command, "request", f"--debug-port={frame.status_port}", "POST", "drain"]
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


def _environment(frame: Frame) -> list[Json]:
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
    return [*env, *_plain(frame.metadata)]


def _ports(frame: Frame) -> list[Json]:
    own = [container for container in frame.containers if container["name"] != PROXY]
    overridden = [container for container in frame.containers if container["name"] == PROXY]
    # The proxy's ports come last wherever its override stood, so that a second injection says the same.
    return [{"protocol": "TCP", **port} for container in (*own, *overridden) for port in container.get("ports") or ()]


def _plain(values: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _from_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _from_resource(name: str, resource: str) -> Json:
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": "1"}}}


def _image(frame: Frame) -> str:
    chosen = frame.annotations.get("sidecar.istio.io/proxyImage", "")
    return chosen if "/" in chosen else frame.settings.proxy_image


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


def _security_context() -> Json:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": PROXY_UID,
        "runAsGroup": PROXY_UID,
    }


def _mounts(frame: Frame) -> list[Json]:
    mounts: list[Json] = [
        {"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds"},
        {"name": "credential-socket", "mountPath": "/var/run/secrets/credential-uds"},
        {"name": "workload-certs", "mountPath": "/var/run/secrets/workload-spiffe-credentials"},
        {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"},
        {"name": "istio-ca-crl", "mountPath": "/var/run/secrets/istio/crl"},
        {"name": "istio-data", "mountPath": "/var/lib/istio/data"},
        {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
        {"name": "istio-token", "mountPath": "/var/run/secrets/tokens"},
        {"name": "istio-podinfo", "mountPath": "/etc/istio/pod"},
    ]
    for name, mount in _user_objects(frame, "sidecar.istio.io/userVolumeMount").items():
        mounts.append({**mount, "name": name})
    return mounts


def volumes(frame: Frame) -> list[Json]:
    """The volumes of the proxy, and those that the annotation sidecar.istio.io/userVolume asks for."""
    found: list[Json] = [
        {"name": "workload-socket", "emptyDir": {}},
        {"name": "credential-socket", "emptyDir": {}},
        {"name": "workload-certs", "emptyDir": {}},
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-data", "emptyDir": {}},
        {
            "name": "istio-podinfo",
            "downwardAPI": {
                "items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}},
                ]
            },
        },
        {
            "name": "istio-token",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}}
                ]
            },
        },
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
        {"name": "istio-ca-crl", "configMap": {"name": "istio-ca-crl", "optional": True}},
    ]
    for name, volume in _user_objects(frame, "sidecar.istio.io/userVolume").items():
        found.append({**volume, "name": name})
    return found


def _user_objects(frame: Frame, annotation: str) -> dict[str, Json]:
    text = frame.annotations.get(annotation)
    return {} if text is None else parse_user_objects(annotation, text)


def parse_user_objects(annotation: str, text: str) -> dict[str, Json]:
    """``{"name": {...}}`` of the annotations userVolume and userVolumeMount; ValueError on anything else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as problem:
        raise ValueError(f"annotation {annotation} is not JSON: {problem}") from problem
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise ValueError(f'annotation {annotation}: want a JSON object of objects, such as {{"name": {{}}}}')
    return found


def pod_labels(frame: Frame) -> dict[str, str]:
    """Labels that the pod gets where it has none of its own."""
    own = frame.labels
    name = own.get("app.kubernetes.io/name") or own.get("app") or frame.workload.name
    return {
        "security.istio.io/tlsMode": "istio",
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
