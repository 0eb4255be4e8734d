"""Services of the mesh, read from Kubernetes Services. Endpoints are a matter of their own (``model.endpoints``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.protocols import Protocol, detect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXPORT_TO = "networking.istio.io/exportTo"
"""Annotation of a Service: the namespaces that may see it (S10)."""
TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"


class Resolution(StrEnum):
    """How a client finds the servers (S1)."""

    ENDPOINTS = "ENDPOINTS"
    """The control plane tells them."""
    ORIGINAL = "ORIGINAL"
    """The address that the client called is the server's."""
    DNS = "DNS"
    """All addresses that DNS knows."""
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    """One of DNS's addresses for each new connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a Service. ``name`` is empty on a single unnamed port."""

    number: int
    name: str
    protocol: Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One Service, of Kubernetes or of a ServiceEntry. ``addresses`` are its VIPs, in a ServiceEntry also subnets.

    A headless Service has none. ``external``: outside the mesh, so never mutual TLS by itself (S2).
    """

    meta: Metadata
    hostname: str
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()
    headless: bool = False
    external_name: str = ""
    export_to: frozenset[str] = frozenset({"*"})
    resolution: Resolution = Resolution.ENDPOINTS
    external: bool = False
    sans: tuple[str, ...] = ()
    """Names of which the server's certificate must have one, where a ServiceEntry says so."""
    by_entry: bool = False
    """Is it a ServiceEntry's? Kubernetes does not know it then, nor does the cluster's DNS."""
    is_numbered: bool = False
    """May the mesh find an address for it, when it has none?"""
    allocated: str = ""
    """The address that was found: of use to proxies alone whose agents answer names."""
    traffic_distribution: str = ""
    """Kubernetes' wish for near endpoints (D8)."""

    @property
    def by_original_address(self) -> bool:
        """Do connections go to where the client opened them to?"""
        return self.headless or self.resolution is Resolution.ORIGINAL

    def port(self, number: int) -> ServicePort | None:
        return next((port for port in self.ports if port.number == number), None)

    def visible_from(self, namespace: str) -> bool:
        """May a client in ``namespace`` know this Service (B12)?"""
        return visible(self.export_to, self.meta.namespace, namespace)


def visible(export_to: frozenset[str], owner: str, client: str) -> bool:
    """Does an ``exportTo`` of namespace ``owner`` include ``client``? Values: ``*``, ``.``, ``~`` (nobody), names (B12)."""
    if not export_to or "*" in export_to:
        return True
    return client in export_to or ("." in export_to and owner == client)


def hostname(name: str, namespace: str, domain: str) -> str:
    """The Service's full name."""
    return f"{name}.{namespace}.svc.{domain}"


def read_service(obj: Mapping[str, Any], domain: str) -> Service:
    """A Kubernetes Service as the mesh sees it. UDP ports are left out: Envoy proxies none."""
    meta, spec = read_metadata(obj), obj.get("spec") or {}
    cluster_ips = spec.get("clusterIPs") or [ip for ip in [spec.get("clusterIP")] if ip]
    external = spec.get("externalName", "") if spec.get("type") == "ExternalName" else ""
    annotations = obj["metadata"].get("annotations") or {}
    exported = {part.strip() for part in annotations.get(EXPORT_TO, "").split(",") if part.strip()}
    ports = tuple(
        ServicePort(
            number=port["port"],
            name=port.get("name", ""),
            protocol=detect(port["port"], port.get("name", ""), port.get("appProtocol"), port.get("protocol", "TCP")),
        )
        for port in spec.get("ports") or []
    )
    return Service(
        meta=meta,
        hostname=hostname(meta.name, meta.namespace, domain),
        ports=tuple(port for port in ports if port.protocol is not Protocol.UDP),
        addresses=tuple(ip for ip in cluster_ips if ip != "None"),
        headless="None" in cluster_ips,
        external_name=external.rstrip(".").lower(),
        export_to=frozenset(exported) or frozenset({"*"}),
        traffic_distribution=annotations.get(TRAFFIC_DISTRIBUTION) or spec.get("trafficDistribution") or "",
    )


def client_domains(service: Service, namespace: str, aliases: Iterable[str] = ()) -> tuple[str, ...]:
    """Every name a client in ``namespace`` may call the Service by; a bare name only in its own namespace (§1.0)."""
    out: list[str] = []
    for host in (service.hostname, *aliases):
        out += [host, f"{host}."]
        out += _short_names(host, namespace)
    if service.headless:
        out += [f"*.{domain}" for domain in out]
    return (*out, *(f"[{ip}]" if ":" in ip else ip for ip in service.addresses if "/" not in ip))


def _short_names(host: str, namespace: str) -> list[str]:
    short, separator, _domain = host.partition(".svc.")
    if not separator:
        return []
    name, _, own = short.partition(".")
    if own == namespace:
        return [name, f"{short}.svc", short]
    return [short, f"{short}.svc"]
