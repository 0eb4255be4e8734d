"""Which outbound listeners a client has, and where each sends what (§1.6, T1-T7). Plans are values: equal plans, equal listeners."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mesh_reference.model import hosts
from mesh_reference.model.hosts import MESH, is_server_name
from mesh_reference.model.protocols import Protocol
from mesh_reference.xds import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.l4_routes import L4Match, L4Route
    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.traffic_policies import Tunnel
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.xds.route_matches import Client
    from mesh_reference.xds.scopes import Scope
    from mesh_reference.xds.targets import ClientTargets

RESERVED = frozenset({names.OUTBOUND_PORT, names.INBOUND_PORT, 15021, 15090})
"""Ports of the proxy's own listeners on 0.0.0.0: a Service of such a port is reached by passthrough."""
TLS_PROTOCOLS = frozenset({Protocol.HTTPS, Protocol.TLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPlan:
    """Connections to one or more clusters, by weight. Without SNI and subnets it is for all that no other chain takes."""

    branches: tuple[tuple[str, int], ...]
    stat_prefix: str
    sni: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    idle: float | None = None
    by_source: bool = False
    tunnel: Tunnel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerPlan:
    """One listener. ``route``: HTTP is read and goes by that route configuration; all else goes by the chains."""

    address: str
    port: int
    route: str = ""
    chains: tuple[ChainPlan, ...] = ()

    @property
    def name(self) -> str:
        return names.listener(self.address, self.port)


@dataclass(slots=True)
class _Draft:
    route: str = ""
    chains: list[ChainPlan] = field(default_factory=list)
    claimed: set[tuple[str, str]] = field(default_factory=set)
    """(SNI, subnet) pairs that a chain has: Envoy refuses two chains for the same connections."""

    def add(self, chain: ChainPlan) -> None:
        """The first chain keeps what it takes; of a later one remains what is left, name by name."""
        subnets = tuple(dict.fromkeys(map(_canonical, chain.subnets))) or ("",)
        left: dict[tuple[str, ...], list[str]] = {}
        for name in filter(is_server_name, dict.fromkeys(chain.sni or ("",))):
            free = tuple(subnet for subnet in subnets if (name, subnet) not in self.claimed)
            if free:
                left.setdefault(free, []).append(name)
                self.claimed.update((name, subnet) for subnet in free)
        for free, sni in left.items():
            self.chains.append(replace(chain, sni=tuple(filter(None, sni)), subnets=tuple(filter(None, free))))


def _canonical(subnet: str) -> str:
    """One spelling for each subnet: Envoy compares the addresses."""
    try:
        return str(ipaddress.ip_network(subnet, strict=False))
    except ValueError:
        return subnet  # told where it is put into the listener


def plan(
    scope: Scope, client: Client, targets: ClientTargets, endpoints: Mapping[str, tuple[Endpoint, ...]]
) -> Iterator[ListenerPlan]:
    """Every listener but the virtual one. HTTP Services of a port share 0.0.0.0; others listen on their addresses."""
    drafts: dict[tuple[str, int], _Draft] = {}
    l4 = [item for item in scope.virtual_services if item.tls or item.tcp]
    for service in scope.services.values():
        for port in scope.ports_of(service):
            if port.protocol.is_http:
                if port.number not in RESERVED:
                    drafts.setdefault((names.WILDCARD, port.number), _Draft()).route = str(port.number)
                continue
            for address, subnets in _places(service, endpoints):
                if address == names.WILDCARD and port.number in RESERVED:
                    continue
                draft = drafts.setdefault((address, port.number), _Draft())
                if port.protocol is Protocol.AUTO and not draft.chains and not draft.route:
                    shared = address == names.WILDCARD
                    draft.route = str(port.number) if shared else names.virtual_host(service.hostname, port.number)
                for chain in _chains(service, port, address, subnets, l4, client, targets):
                    draft.add(chain)
    for (address, number), draft in drafts.items():
        yield ListenerPlan(address=address, port=number, route=draft.route, chains=tuple(draft.chains))


def _places(service: Service, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where a Service that is not HTTP listens: (address, subnets of the destinations there)."""
    subnets = tuple(address for address in service.addresses if "/" in address)
    single = tuple(address for address in service.addresses if "/" not in address)
    if service.headless and not service.addresses:
        # A headless Service has no address of its own: its clients call its endpoints.
        single = tuple(sorted({item.address for item in endpoints.get(service.hostname, ()) if item.ready}))
    for address in single:
        yield address, ()
    if subnets or not (service.addresses or service.headless):
        yield names.WILDCARD, subnets  # S4


def _chains(
    service: Service,
    port: ServicePort,
    address: str,
    subnets: tuple[str, ...],
    l4: Iterable[VirtualService],
    client: Client,
    targets: ClientTargets,
) -> list[ChainPlan]:
    own = [item for item in l4 if any(hosts.matches(host, service.hostname) for host in item.hosts)]
    if port.protocol in TLS_PROTOCOLS:
        found = list(_tls_chains(own, port.number, subnets, client, targets))
        if found:
            return found
        # Several TLS Services may listen on one address: their names tell them apart.
        named = (service.hostname,) if address == names.WILDCARD else ()
        return [_default(service, port, named, subnets, targets)]
    found, ended = _tcp_chains(own, port.number, subnets, client, targets)
    return found if ended else [*found, _default(service, port, (), subnets, targets)]


def _tls_chains(
    own: list[VirtualService], port: int, subnets: tuple[str, ...], client: Client, targets: ClientTargets
) -> Iterator[ChainPlan]:
    """T1, T4: by SNI; of two blocks that Envoy cannot tell apart the first counts."""
    seen: set[tuple[frozenset[str], frozenset[str]]] = set()
    for item in own:
        for route in item.tls:
            for match in route.matches:
                if not _applies(match, client, port) or match.runtime in seen:
                    continue
                seen.add(match.runtime)
                sni = () if "*" in match.sni else match.sni
                yield _routed(item, route, port, targets, sni, match.subnets or subnets)


def _tcp_chains(
    own: list[VirtualService], port: int, subnets: tuple[str, ...], client: Client, targets: ClientTargets
) -> tuple[list[ChainPlan], bool]:
    """T3: the first block without destination subnets ends the list; whether there was one."""
    out: list[ChainPlan] = []
    for item in own:
        for route in item.tcp:
            applying = [match for match in route.matches if _applies(match, client, port)]
            if not route.matches or any(not match.subnets for match in applying):
                return [*out, _routed(item, route, port, targets, (), subnets)], True
            wanted = tuple(subnet for match in applying for subnet in match.subnets)
            if wanted:
                out.append(_routed(item, route, port, targets, (), wanted))
    return out, False


def _applies(match: L4Match, client: Client, port: int) -> bool:
    """T2: all at once, and all known beforehand."""
    return (
        match.port in {0, port}
        and (not match.gateways or MESH in match.gateways)
        and match.source_namespace in {"", client.namespace}
        and all(client.labels.get(key) == value for key, value in match.source_labels)
    )


def _routed(
    item: VirtualService,
    route: L4Route,
    port: int,
    targets: ClientTargets,
    sni: tuple[str, ...],
    subnets: tuple[str, ...],
) -> ChainPlan:
    if len(route.destinations) == 1:
        destination = route.destinations[0].destination
        cluster = targets.l4_cluster(destination, port)
        return _single(cluster, targets, sni, subnets)
    branches = tuple(
        (targets.l4_cluster(branch.destination, port), branch.weight) for branch in route.destinations if branch.weight
    )
    return ChainPlan(branches=branches, stat_prefix=f"{item.meta.name}.{item.meta.namespace}", sni=sni, subnets=subnets)


def _default(
    service: Service, port: ServicePort, sni: tuple[str, ...], subnets: tuple[str, ...], targets: ClientTargets
) -> ChainPlan:
    """T6."""
    return _single(names.outbound_cluster(service.hostname, port.number), targets, sni, subnets)


def _single(cluster: str, targets: ClientTargets, sni: tuple[str, ...], subnets: tuple[str, ...]) -> ChainPlan:
    target = names.parse_outbound_cluster(cluster)
    policy = targets.policy(target[0], target[2], target[1]) if target else None
    hashing = policy.load_balancer.hash if policy and policy.load_balancer else None
    return ChainPlan(
        branches=((cluster, 0),),
        stat_prefix=cluster,
        sni=sni,
        subnets=subnets,
        idle=policy.pool.idle_timeout if policy and policy.pool else None,
        by_source=bool(hashing and hashing.source_ip),
        tunnel=policy.tunnel if policy else None,
    )
