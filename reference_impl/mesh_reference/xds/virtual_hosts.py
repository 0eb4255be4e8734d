"""Which virtual hosts a route configuration has, who owns which domain, and each as a VirtualHost message (§1.2).

Planning is cheap and done for each push; building is done once per distinct plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes

from mesh_reference.model import hosts
from mesh_reference.settings import OutboundPolicy
from mesh_reference.xds import http_routes, names
from mesh_reference.xds.messages import NO_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh_reference.model.services import Service
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.xds.listeners_outbound import Unknown
    from mesh_reference.xds.route_actions import Targets
    from mesh_reference.xds.route_matches import Client
    from mesh_reference.xds.scopes import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """One virtual host to be: its routes are the VirtualService's when there is one, else the Service's default."""

    host: str
    port: int
    domains: tuple[str, ...]
    service: Service | None = None
    virtual_service: VirtualService | None = None

    @property
    def name(self) -> str:
        return names.virtual_host(self.host, self.port)


def plan(scope: Scope, client: Client, port: int) -> list[HostPlan]:
    """Every virtual host of the route configuration of ``port``, by name; no domain twice, the first owner keeps it.

    VirtualServices take hosts in the scope's order (B5, B6). A Service goes to the VirtualService that names it exactly,
    else to the most specific wildcard (B7). A host that is no Service is known on port 80, and where its VirtualService has a Service (B10).
    """
    on_port = {
        service.hostname: service
        for service in scope.on_port(port)
        if (found := service.port(port)) is not None and found.protocol.is_http_or_auto
    }
    wild = _wild_owners(scope.virtual_services, on_port)
    plans: list[HostPlan] = []
    taken = _Domains(on_port)
    served: set[str] = set()
    for item in scope.virtual_services:
        named = {host for host in item.hosts if host in on_port} | wild.get(id(item), set())
        mine = [on_port[host] for host in sorted(named - served)]
        foreign = _foreign_hosts(item, on_port) if mine or port == 80 else []
        if not mine and not foreign:
            continue
        if not http_routes.any_for(item, client, port):
            continue  # F5: nothing left for this client, as if the VirtualService were not there
        for host in foreign:
            domains = taken.claim((host,))
            if domains:
                plans.append(HostPlan(host=host, port=port, domains=domains, virtual_service=item))
        for service in mine:
            served.add(service.hostname)
            _add_service(plans, taken, scope, service, port, item)
    for host, service in on_port.items():
        if host not in served:
            _add_service(plans, taken, scope, service, port, None)
    return sorted(plans, key=lambda entry: entry.name)


def alone(planned: HostPlan) -> HostPlan:
    """The only virtual host of the route ``<fqdn>:<port>`` of an auto-detected port; its domain is ``*``."""
    return replace(planned, domains=("*",))


def owned_by(planned: HostPlan, owner: VirtualService | None) -> HostPlan:
    """The same host under another state of its VirtualService."""
    return replace(planned, virtual_service=owner)


def build(planned: HostPlan, client: Client, targets: Targets) -> routes.VirtualHost:
    """The message of a plan."""
    if planned.virtual_service is not None:
        made = http_routes.for_virtual_service(planned.virtual_service, client, planned.port, targets)
    else:
        made = (http_routes.default(planned.host, planned.port, targets.service_hash(planned.host, planned.port)),)
    return routes.VirtualHost(
        name=planned.name, domains=planned.domains, routes=made, include_request_attempt_count=True
    )


def catch_all(unknown: Unknown) -> routes.VirtualHost:
    """Unknown hosts: on to where the client wanted, or to the egress proxy (F6, S8); or 502 (F7)."""
    if unknown.policy is OutboundPolicy.ALLOW_ANY:
        name = names.ALLOW_ANY
        route = routes.Route(
            name=name,
            match=routes.RouteMatch(prefix="/"),
            route=routes.RouteAction(cluster=unknown.cluster, timeout=NO_TIMEOUT, max_grpc_timeout=NO_TIMEOUT),
        )
    else:
        name = names.BLOCK_ALL
        route = routes.Route(
            name=name,
            match=routes.RouteMatch(prefix="/"),
            direct_response=routes.DirectResponseAction(status=502),
        )
    return routes.VirtualHost(name=name, domains=["*"], routes=[route], include_request_attempt_count=True)


class _Domains:
    """Who has which domain. An expanded name (``a.b``) never takes what is the full name of another Service."""

    def __init__(self, full_names: Iterable[str]) -> None:
        self._full_names = frozenset(full_names)
        self._taken: set[str] = set()

    def claim(self, domains: tuple[str, ...], own: str = "") -> tuple[str, ...]:
        free = [
            domain
            for domain in domains
            if domain not in self._taken and (domain == own or not own or domain not in self._full_names)
        ]
        self._taken.update(free)
        return tuple(free)


def _add_service(
    plans: list[HostPlan], taken: _Domains, scope: Scope, service: Service, port: int, owner: VirtualService | None
) -> None:
    domains = taken.claim(scope.domains(service), own=service.hostname)
    if domains:
        plans.append(
            HostPlan(host=service.hostname, port=port, domains=domains, service=service, virtual_service=owner)
        )


def _wild_owners(found: Iterable[VirtualService], services: Iterable[str]) -> dict[int, set[str]]:
    """VirtualService (by identity): Services that obey it by its most specific wildcard, as no exact host does (B7)."""
    exact: set[str] = set()
    wild: dict[str, VirtualService] = {}
    for item in found:
        for host in item.hosts:
            if host.startswith("*"):
                wild.setdefault(host, item)  # the first of equals (B5, B6)
            else:
                exact.add(host)
    out: dict[int, set[str]] = {}
    if wild:
        for host in services:
            if host not in exact and (best := hosts.most_specific(wild, host)) is not None:
                out.setdefault(id(wild[best]), set()).add(host)
    return out


def _foreign_hosts(item: VirtualService, on_port: dict[str, Service]) -> list[str]:
    """Hosts of the VirtualService that no Service of this port answers to (B10)."""
    out = []
    for host in item.hosts:
        if host.startswith("*"):
            if not any(hosts.matches(host, name) for name in on_port):
                out.append(host)
        elif host not in on_port:
            out.append(host)
    return out
