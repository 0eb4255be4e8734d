"""Services, ServiceEntries (S1-S3) and Sidecars (S5, S6, S8) into their model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pytest_mesh.contracts import Json
from pytest_mesh.oracle.errors import Malformed, Unsupported
from pytest_mesh.oracle.fields import Fields, Line
from pytest_mesh.oracle.model import Port, Service, Sidecar

Protocol = Literal["http", "tls", "tcp", "detected"]
_PROTOCOLS: dict[str, Protocol] = {
    "http": "http", "http2": "http", "grpc": "http", "grpc-web": "http",
    "https": "tls", "tls": "tls",
    "tcp": "tcp", "mongo": "tcp", "mysql": "tcp", "redis": "tcp",
}  # fmt: skip
"""§1.6: what names of ports, and appProtocol, begin with. What is none of these is detected, but for some ports."""
_SERVER_FIRST = {25, 53, 3306, 27017}
_EXPORT = "networking.istio.io/exportTo"


def read_service(document: Json, namespace: str, domain: str, line: Line) -> Service:
    """Read a Service; a headless one leads to the pod that the client dials."""
    spec = document.get("spec") or {}
    if spec.get("type") == "ExternalName":
        raise Unsupported(f"{line}: spec.type: the oracle does not model ExternalName Services")
    metadata = document["metadata"]
    name = metadata["name"]
    headless = spec.get("clusterIP") == "None"
    export = str((metadata.get("annotations") or {}).get(_EXPORT) or "")
    return Service(
        name=name,
        namespace=namespace,
        host=f"{name}.{namespace}.svc.{domain}",
        ports=tuple(
            Port(number=int(port["port"]), protocol=protocol(port.get("appProtocol") or port.get("name"), port["port"]))
            for port in spec.get("ports") or ()
            if port.get("protocol", "TCP") == "TCP"
        ),
        selector=dict(spec.get("selector") or {}),
        reached="dialled" if headless else "pods",
        headless=headless,
        export_to=frozenset(part.strip() for part in export.split(",") if part.strip()),
        created=str(metadata.get("creationTimestamp") or ""),
        line=line,
    )


def protocol(name: Any, number: int) -> Protocol:
    """Give what a port speaks by its appProtocol or its name."""
    text = str(name or "").lower()
    otherwise: Protocol = "tcp" if int(number) in _SERVER_FIRST else "detected"
    return _PROTOCOLS.get(text) or _PROTOCOLS.get(text.partition("-")[0], otherwise)


def read_service_entry(document: Json, namespace: str, line: Line) -> Iterator[Service]:
    """Read a ServiceEntry: one service for each of its hosts."""
    spec = Fields(document.get("spec") or {}, line.field("spec"))
    spec.knows(
        {"hosts", "ports", "location", "resolution", "endpoints", "workloadSelector", "exportTo", "addresses"},
        refused={"subjectAltNames"},
    )
    resolution = spec.text("resolution", "NONE")
    if resolution not in {"NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"}:
        raise Unsupported(f"{spec.at('resolution')}: the oracle does not model {resolution}")
    selector = spec.below("workloadSelector")
    labels = selector.knows({"labels"}).pairs("labels") if selector else {}
    if selector and "endpoints" in spec:
        raise Malformed(f"{spec.at('endpoints')}: not beside workloadSelector")
    if selector and resolution != "STATIC":
        raise Unsupported(f"{spec.at('workloadSelector')}: the oracle models it with resolution STATIC only")
    ports = []
    for port in spec.each("ports"):
        port.knows({"number", "name", "protocol", "targetPort"})
        spoken = port.text("protocol").lower()
        if spoken not in _PROTOCOLS:
            raise Unsupported(
                f"{port.at('protocol')}: the oracle does not model {spoken.upper() or 'a port without one'}"
            )
        ports.append(Port(number=port.number("number"), protocol=_PROTOCOLS[spoken]))
    endpoints = tuple(one.pairs("labels") for one in spec.each("endpoints"))
    hosts = spec.texts("hosts")
    if not hosts:
        raise Malformed(f"{spec.at('hosts')}: at least one is required")
    for host in hosts:
        yield Service(
            name=document["metadata"]["name"],
            namespace=namespace,
            host=host.lower(),
            ports=tuple(ports),
            selector=labels,
            reached="pods" if selector else "dialled" if resolution == "NONE" else "outside",
            entry=True,
            endpoint_labels=endpoints or ({},),
            export_to=frozenset(spec.texts("exportTo")),
            created=str(document["metadata"].get("creationTimestamp") or ""),
            line=line,
        )


def read_sidecar(document: Json, namespace: str, line: Line) -> Sidecar:
    """Read a Sidecar's egress; what it says of the pod's own ports is refused."""
    spec = Fields(document.get("spec") or {}, line.field("spec"))
    spec.knows({"workloadSelector", "egress", "outboundTrafficPolicy"}, refused={"ingress", "inboundConnectionPool"})
    selector = spec.below("workloadSelector")
    hosts: list[tuple[str, str]] = []
    listeners = list(spec.each("egress"))
    if len(listeners) > 1:
        raise Unsupported(f"{spec.at('egress')}: the oracle models one egress listener")
    for listener in listeners:
        listener.knows({"hosts"}, refused={"port", "bind", "captureMode"})
        hosts += [_egress(host, listener.at("hosts")) for host in listener.texts("hosts")]
        if not hosts:
            raise Malformed(f"{listener.at('hosts')}: at least one is required")
    policy = spec.below("outboundTrafficPolicy")
    mode = policy.knows({"mode"}, refused={"egressProxy"}).text("mode", "REGISTRY_ONLY") if policy else ""
    return Sidecar(
        name=document["metadata"]["name"],
        namespace=namespace,
        selector=selector.knows({"labels"}).pairs("labels") if selector else {},
        hosts=tuple(hosts),
        registry_only={"REGISTRY_ONLY": True, "ALLOW_ANY": False}[mode] if mode else None,
        created=str(document["metadata"].get("creationTimestamp") or ""),
        line=line,
    )


def _egress(text: str, line: Line) -> tuple[str, str]:
    namespace, slash, host = text.partition("/")
    if not slash or not host or not namespace:
        raise Malformed(f"{line}: {text!r} is no NAMESPACE/HOST")
    if namespace.startswith("~") and namespace != "~":
        raise Unsupported(f"{line}: {text!r}: the oracle does not model exclusions")
    return ("" if namespace == "~" else namespace), host.lower()
