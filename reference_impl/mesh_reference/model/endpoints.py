"""Endpoints of Services: EndpointSlices joined with the Pods behind them. It decides nothing about load balancing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.model.metadata import read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TLS_MODE = "security.istio.io/tlsMode"
"""Pod label that the injector sets: ``istio`` = a sidecar there speaks mutual TLS."""
LOCALITY = "istio-locality"
"""Pod label: where the pod is, instead of what its node says."""
SERVICE_NAME = "kubernetes.io/service-name"
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
"""Node labels."""


Locality = tuple[str, str, str]
"""(region, zone, subzone); empty = not known."""


def read_locality(text: str) -> Locality:
    """``region/zone/subzone``, of which the end may be missing; dots where slashes are not allowed (labels)."""
    parts = (text.replace(".", "/") if "/" not in text else text).split("/", 2)
    region, zone, subzone = (*parts, "", "")[:3]
    return region, zone, subzone


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A Pod that has an address."""

    name: str
    namespace: str
    address: str
    service_account: str
    labels: Mapping[str, str]
    node: str = ""
    workload: str = ""
    host_network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEndpoint:
    """One address of an EndpointSlice with all the slice's ports: (port name, number)."""

    address: str
    ports: tuple[tuple[str, int], ...]
    ready: bool
    node: str = ""
    zone: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice:
    """One EndpointSlice of a Service in the same namespace."""

    name: str
    namespace: str
    service: str
    endpoints: tuple[SliceEndpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that serves one or more of a Service's ports. Only ``ready`` ones get traffic."""

    address: str
    ports: tuple[tuple[str, int], ...]
    labels: Mapping[str, str]
    namespace: str
    service_account: str = ""
    tls_mode: str = "disabled"
    locality: Locality = ("", "", "")
    weight: int = 1
    workload: str = ""
    ready: bool = True
    hostname: str = ""
    """Of a Pod with a name of its own in a headless Service: the name's first label."""

    def target(self, port_name: str) -> int | None:
        """The number behind the Service port of that name; None when this endpoint does not serve it."""
        return next((number for name, number in self.ports if name == port_name), None)


def read_pod(obj: Mapping[str, Any]) -> Pod | None:
    """The Pod, or None as long as it has no address or when it has ended."""
    meta, spec, status = read_metadata(obj), obj.get("spec") or {}, obj.get("status") or {}
    address = status.get("podIP")
    if not address or status.get("phase") in {"Succeeded", "Failed"}:
        return None
    labels = obj["metadata"].get("labels") or {}
    owner = next((ref["name"] for ref in obj["metadata"].get("ownerReferences") or [] if ref.get("controller")), "")
    if owner and "pod-template-hash" in labels:
        owner = owner.removesuffix(f"-{labels['pod-template-hash']}")
    return Pod(
        name=meta.name,
        namespace=meta.namespace,
        address=address,
        service_account=spec.get("serviceAccountName") or "default",
        labels=labels,
        node=spec.get("nodeName", ""),
        workload=owner or meta.name,
        host_network=bool(spec.get("hostNetwork")),
    )


def read_slice(obj: Mapping[str, Any]) -> EndpointSlice | None:
    """The slice, or None when it belongs to no Service. An absent ``ready`` condition means ready."""
    meta = read_metadata(obj)
    service = (obj["metadata"].get("labels") or {}).get(SERVICE_NAME)
    if not service or obj.get("addressType") == "FQDN":
        return None
    ports = tuple(
        (port.get("name") or "", port["port"]) for port in obj.get("ports") or [] if port.get("port") is not None
    )
    endpoints = tuple(
        SliceEndpoint(
            address=address,
            ports=ports,
            ready=(item.get("conditions") or {}).get("ready") is not False,
            node=item.get("nodeName") or "",
            zone=item.get("zone") or "",
            hostname=item.get("hostname") or "",
        )
        for item in obj.get("endpoints") or []
        for address in item.get("addresses") or []
    )
    return EndpointSlice(name=meta.name, namespace=meta.namespace, service=service, endpoints=endpoints)


def read_node_locality(obj: Mapping[str, Any]) -> Locality:
    """Where a Node is, by its labels."""
    labels = obj["metadata"].get("labels") or {}
    return labels.get(REGION, ""), labels.get(ZONE, ""), labels.get(SUBZONE, "")


def locality_of(pod: Pod | None, node: str, zone: str, nodes: Mapping[str, Locality]) -> Locality:
    """Of a pod: its own label, else its node's. Without either the zone that the slice names."""
    own = pod.labels.get(LOCALITY) if pod else None
    if own:
        return read_locality(own)
    return nodes.get(pod.node if pod and pod.node else node) or ("", zone, "")


def join(
    slices: Iterable[EndpointSlice], pods: Mapping[str, Pod], nodes: Mapping[str, Locality]
) -> tuple[Endpoint, ...]:
    """The endpoints of one Service, by address, with what the Pod at that address says.

    ``pods`` is by address, ``nodes`` by name.
    """
    found: dict[tuple[str, tuple[tuple[str, int], ...]], Endpoint] = {}
    for piece in slices:
        for item in piece.endpoints:
            pod = pods.get(item.address)
            labels = pod.labels if pod else {}
            found[item.address, item.ports] = Endpoint(
                address=item.address,
                ports=item.ports,
                labels=labels,
                namespace=pod.namespace if pod else piece.namespace,
                service_account=pod.service_account if pod else "",
                tls_mode=labels.get(TLS_MODE) or "disabled",
                locality=locality_of(pod, item.node, item.zone, nodes),
                workload=pod.workload if pod else "",
                ready=item.ready,
                hostname=item.hostname,
            )
    return tuple(found[key] for key in sorted(found))
