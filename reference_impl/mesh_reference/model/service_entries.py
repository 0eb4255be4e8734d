"""ServiceEntries and WorkloadEntries as typed values: Services that Kubernetes does not know, and their endpoints (S1-S4)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.model.endpoints import TLS_MODE, Endpoint, Locality, Pod, locality_of, read_locality
from mesh_reference.model.hosts import is_server_name
from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.protocols import Protocol, of_name
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.service_entry import SERVICE_ENTRY
from mesh_reference.model.schema.workload_entry import WORKLOAD_ENTRY
from mesh_reference.model.services import Resolution, Service, ServicePort

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.reading import Fields

ALLOCATE = "networking.istio.io/enable-autoallocate-ip"
"""Label of a ServiceEntry: "false" = without an address it shall stay without."""
_RESOLUTIONS = {
    "NONE": Resolution.ORIGINAL,
    "STATIC": Resolution.ENDPOINTS,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEndpoint:
    """An endpoint as it is written down: inside a ServiceEntry, or as a WorkloadEntry (S3). ``ports`` by port name."""

    address: str
    ports: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    locality: Locality = ("", "", "")
    weight: int = 1
    service_account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry:
    """A workload outside Kubernetes that ServiceEntries of its namespace may select."""

    meta: Metadata
    endpoint: WorkloadEndpoint
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    """One ServiceEntry: a Service for each of its hosts, and their common endpoints.

    ``targets`` is (port name, port number on the servers). With a selector the endpoints are pods and WorkloadEntries.
    """

    meta: Metadata
    services: tuple[Service, ...]
    targets: tuple[tuple[str, int], ...]
    endpoints: tuple[WorkloadEndpoint, ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Does it take this workload for a server?"""
        mine = bool(self.selector) and namespace == self.meta.namespace
        return mine and all(labels.get(key) == value for key, value in self.selector)


def read_service_entry(obj: Mapping[str, Any]) -> ServiceEntry:
    """Read the resource. Raises InvalidConfig when it cannot be served."""
    meta = read_metadata(obj)
    spec, origin = open_spec(obj, SERVICE_ENTRY)
    wanted = spec.get("resolution", "NONE")
    if wanted not in _RESOLUTIONS:
        raise spec.invalid(
            f"{wanted} is not supported: no Envoy here forwards to hosts found while it runs", "resolution"
        )
    ports = tuple(
        ServicePort(
            number=int(item.get("number", 0)), name=item.get("name", ""), protocol=of_name(item.get("protocol", ""))
        )
        for item in spec.each("ports")
    )
    hosts = tuple(dict.fromkeys(host.lower() for host in spec.texts("hosts")))
    if not hosts:
        raise spec.invalid("service entry must have at least one host", "hosts")
    resolution = _RESOLUTIONS[wanted]
    labels = obj["metadata"].get("labels") or {}
    # An original destination must be one that the application chose itself.
    allocates = (
        resolution is not Resolution.ORIGINAL
        and not spec.texts("addresses")
        and str(labels.get(ALLOCATE, "")).lower() != "false"
    )
    endpoints = tuple(_endpoint(item) for item in spec.each("endpoints"))
    dns = resolution in {Resolution.DNS, Resolution.DNS_ROUND_ROBIN}
    if dns and not endpoints and any(host.startswith("*") for host in hosts) and "workloadSelector" not in spec:
        raise spec.invalid("a wildcard host has no address in DNS: name endpoints", "hosts")
    if not dns:
        for item, read in zip(spec.each("endpoints"), endpoints, strict=True):
            if not is_address(read.address):
                raise item.invalid(f"{read.address!r} is no IP address, which {wanted} needs", "address")
    if any(port.protocol in {Protocol.HTTPS, Protocol.TLS} for port in ports):
        for host in hosts:
            if not is_server_name(host):
                spec.warn("hosts", f"no TLS connection is told by {host!r}: Envoy knows whole labels as wildcards only")
    return ServiceEntry(
        meta=meta,
        services=tuple(
            Service(
                meta=meta,
                hostname=host,
                ports=tuple(port for port in ports if port.protocol is not Protocol.UDP),
                addresses=spec.texts("addresses"),
                export_to=frozenset(spec.texts("exportTo")) or frozenset({"*"}),
                resolution=resolution,
                external=spec.get("location", "MESH_EXTERNAL") == "MESH_EXTERNAL",
                sans=spec.texts("subjectAltNames"),
                by_entry=True,
                is_numbered=allocates and not host.startswith("*"),
            )
            for host in hosts
        ),
        targets=tuple(
            (item.get("name", ""), int(item.get("targetPort") or item.get("number", 0))) for item in spec.each("ports")
        ),
        endpoints=endpoints,
        selector=spec.fields("workloadSelector").pairs("labels"),
        warnings=tuple(origin.warnings),
    )


def read_workload_entry(obj: Mapping[str, Any]) -> WorkloadEntry:
    """Read the resource. Raises InvalidConfig when it cannot be served."""
    spec, origin = open_spec(obj, WORKLOAD_ENTRY)
    return WorkloadEntry(meta=read_metadata(obj), endpoint=_endpoint(spec), warnings=tuple(origin.warnings))


def endpoints_of(
    entry: ServiceEntry,
    host: str,
    pods: Iterable[Pod],
    workloads: Iterable[WorkloadEntry],
    nodes: Mapping[str, Locality],
) -> tuple[Endpoint, ...]:
    """The servers of one of the entry's hosts. In DNS resolution without endpoints the host itself is the name to ask for."""
    written = list(entry.endpoints)
    written += [item.endpoint for item in workloads if entry.selects(item.meta.namespace, dict(item.endpoint.labels))]
    dns = entry.services[0].resolution in {Resolution.DNS, Resolution.DNS_ROUND_ROBIN}
    if not written and not entry.selector and dns:
        written = [WorkloadEndpoint(address=host)]
    found = [_to_endpoint(entry, item) for item in written]
    found += [
        Endpoint(
            address=pod.address,
            ports=entry.targets,
            labels=pod.labels,
            namespace=pod.namespace,
            service_account=pod.service_account,
            tls_mode=pod.labels.get(TLS_MODE) or "disabled",
            locality=locality_of(pod, pod.node, "", nodes),
            workload=pod.workload,
        )
        for pod in pods
        if entry.selects(pod.namespace, pod.labels)
    ]
    return tuple(sorted(found, key=lambda item: (item.address, item.ports)))


def is_address(text: str) -> bool:
    """Is it an IP address or a socket's path, which nobody needs to resolve?"""
    if text.startswith("unix://"):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _to_endpoint(entry: ServiceEntry, item: WorkloadEndpoint) -> Endpoint:
    own, labels = dict(item.ports), dict(item.labels)
    return Endpoint(
        address=item.address,
        ports=tuple((name, own.get(name, number)) for name, number in entry.targets),
        labels=labels,
        namespace=entry.meta.namespace,
        service_account=item.service_account,
        tls_mode=labels.get(TLS_MODE) or "disabled",
        locality=item.locality,
        weight=item.weight,
    )


def _endpoint(fields: Fields) -> WorkloadEndpoint:
    address = fields.get("address", "")
    if not address:
        raise fields.invalid("address is required: this mesh has one network", "address")
    return WorkloadEndpoint(
        address=address,
        ports=tuple(sorted((name, int(number)) for name, number in (fields.get("ports") or {}).items())),
        labels=fields.pairs("labels"),
        locality=read_locality(fields.get("locality", "")),
        weight=int(fields.get("weight") or 1),
        service_account=fields.get("serviceAccount", ""),
    )
