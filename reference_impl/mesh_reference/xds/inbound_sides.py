"""One proxy's own side: the clusters that lead to its application and the listener in front of them (D18, S7, S9). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_reference.model.authorization_policies import compose as compose_authorization
from mesh_reference.model.destination_rules import policy_for
from mesh_reference.model.peer_authentications import compose
from mesh_reference.xds import authorization, clusters, listeners_inbound
from mesh_reference.xds.listeners_inbound import InboundPort
from mesh_reference.xds.resources import CLUSTER, LISTENER, Encoded, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.sidecars import Ingress, Sidecar
    from mesh_reference.model.snapshot import MeshSnapshot
    from mesh_reference.model.traffic_policies import ConnectionPool
    from mesh_reference.settings import Settings
    from mesh_reference.xds.scopes import Scope


@dataclass(frozen=True, slots=True, eq=False)
class Inbound:
    """By type and name. The same object as long as it stays the same."""

    clusters: Mapping[str, Encoded]
    listeners: Mapping[str, Encoded]
    hosts: frozenset[str]
    """Services that lead here."""

    def of(self, type_url: str) -> Mapping[str, Encoded]:
        return {CLUSTER: self.clusters, LISTENER: self.listeners}.get(type_url, {})


def make(
    snapshot: MeshSnapshot,
    settings: Settings,
    proxy: Proxy,
    labels: Mapping[str, str],
    scope: Scope,
    sidecar: Sidecar | None,
) -> Inbound:
    """The proxy's inbound clusters and its inbound listener. A Sidecar's ingress stands for the Services' ports (S7)."""
    mtls = compose(snapshot.peer_authentications.values(), proxy.namespace, labels, settings.root_namespace)
    deciding = compose_authorization(
        snapshot.authorization_policies.values(), proxy.namespace, labels, settings.root_namespace
    )
    first = authorization.filters(deciding, settings.trust_domains)
    found = targets(snapshot, proxy)
    if sidecar is not None and sidecar.ingress:
        host = next((service.hostname for service, _port in found.values()), f"{proxy.id}.pod")
        ports = [
            InboundPort(target=item.port, host=host, number=item.port, protocol=item.protocol)
            for item in sidecar.ingress
        ]
        made = [*_ingress_clusters(sidecar, proxy, settings)]
    else:
        ports = [
            InboundPort(target=target, host=service.hostname, number=port.number, protocol=port.protocol)
            for target, (service, port) in found.items()
        ]
        made = [*_service_clusters(found, scope, labels, sidecar, settings)]
    listener = listeners_inbound.virtual_inbound(ports, mtls, settings, first, transparent=proxy.is_transparent)
    return Inbound(
        clusters={cluster.name: cluster for cluster in made},
        listeners={listener.name: encode(listener.name, listener)},
        hosts=snapshot.hosts_at.get(proxy.address, frozenset()),
    )


def targets(snapshot: MeshSnapshot, proxy: Proxy) -> dict[int, tuple[Service, ServicePort]]:
    """The application's ports by number, each with the Service port that leads there; of several the oldest Service's."""
    found: dict[int, tuple[Service, ServicePort]] = {}
    services = [
        service
        for host in sorted(snapshot.hosts_at.get(proxy.address, ()))
        if (service := snapshot.services.get(host)) is not None
    ]
    for service in sorted(services, key=lambda item: item.meta.age_key):
        for endpoint in snapshot.endpoints.get(service.hostname, ()):
            if endpoint.address != proxy.address:
                continue
            for port in service.ports:
                target = endpoint.target(port.name)
                if target is not None:
                    found.setdefault(target, (service, port))
    return found


def _service_clusters(
    found: Mapping[int, tuple[Service, ServicePort]],
    scope: Scope,
    labels: Mapping[str, str],
    sidecar: Sidecar | None,
    settings: Settings,
) -> Iterator[Encoded]:
    for target, (service, port) in sorted(found.items()):
        rule = scope.destination_rule(service.hostname, labels)
        # S9: the Sidecar's pool comes before the DestinationRule's (D18).
        pool: ConnectionPool | None = sidecar.pool if sidecar is not None else None
        made = clusters.inbound(target, port.protocol, pool or policy_for(rule, "", port.number).pool, settings)
        yield encode(made.name, made)


def _ingress_clusters(sidecar: Sidecar, proxy: Proxy, settings: Settings) -> Iterator[Encoded]:
    for item in sidecar.ingress:
        made = clusters.inbound(item.port, item.protocol, sidecar.pool_of(item.port), settings)
        clusters.lead_to(made, _endpoint(item, proxy), item.socket)
        yield encode(made.name, made)


def _endpoint(item: Ingress, proxy: Proxy) -> tuple[str, int] | None:
    """0.0.0.0 stands for the workload's own address."""
    if item.endpoint is None:
        return None
    address, port = item.endpoint
    return (proxy.address if address in {"0.0.0.0", "::"} else address), port
