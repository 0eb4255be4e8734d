"""Which virtual hosts a route configuration has, and who owns which domain (§1.2). Pure; the messages are made elsewhere.

A change of Services alone is followed host by host where no domain has two claimants; anything else is planned anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mesh_reference.model import hosts
from mesh_reference.xds import http_routes, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.services import Service
    from mesh_reference.model.virtual_services import VirtualService
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The virtual hosts of one route configuration by name, sorted."""

    hosts: Mapping[str, HostPlan]
    taken: frozenset[str] = field(default=frozenset(), repr=False)
    """Every domain that a host has."""
    contested: frozenset[str] = field(default=frozenset(), repr=False)
    """Those that a second host wanted: who has them depends on all the others."""

    def following(self, scope: Scope, port: int, changed: Iterable[str]) -> Plans | None:
        """The plans after Services of the hosts ``changed`` came, went or changed, and nothing else did.

        None where that cannot be told host by host: a VirtualService names one of them, or a domain has a second claimant.
        """
        if any(hosts.matches(host, one) for item in scope.virtual_services for host in item.hosts for one in changed):
            return None
        found, taken = dict(self.hosts), set(self.taken)
        for host in changed:
            name = names.virtual_host(host, port)
            old = found.pop(name, None)
            if old is not None:
                if not self.contested.isdisjoint(old.domains):
                    return None
                taken.difference_update(old.domains)
            service = _served(scope.services.get(host), scope, port)
            if service is None:
                continue
            domains = scope.domains(service)
            if not taken.isdisjoint(domains):
                return None
            taken.update(domains)
            found[name] = HostPlan(host=host, port=port, domains=domains, service=service)
        return Plans(
            hosts={name: found[name] for name in sorted(found)}, taken=frozenset(taken), contested=self.contested
        )


def plan(scope: Scope, client: Client, port: int) -> Plans:
    """Every virtual host of the route configuration of ``port``; no domain twice, the first owner keeps it.

    VirtualServices take hosts in the scope's order (B5, B6). A Service goes to the VirtualService that names it exactly,
    else to the most specific wildcard (B7). A host that is no Service is known on port 80, and where its VirtualService has a Service (B10).
    """
    on_port = {
        service.hostname: service
        for found in scope.on_port(port)
        if (service := _served(found, scope, port)) is not None
    }
    wild = _wild_owners(scope.virtual_services, on_port)
    draft = _Draft(scope, port, on_port)
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
            draft.add(host, (host,), "", None, item)
        for service in mine:
            served.add(service.hostname)
            draft.add_service(service, item)
    for host, service in on_port.items():
        if host not in served:
            draft.add_service(service, None)
    return draft.plans()


def alone(planned: HostPlan) -> Plans:
    """The only virtual host of the route ``<fqdn>:<port>`` of an auto-detected port; its domain is ``*``."""
    return Plans(hosts={planned.name: replace(planned, domains=("*",))}, taken=frozenset({"*"}))


def owned_by(planned: HostPlan, owner: VirtualService | None) -> HostPlan:
    """The same host under another state of its VirtualService."""
    return replace(planned, virtual_service=owner)


class _Draft:
    """Hosts in the order in which they claim. An expanded name (``a.b``) never takes the full name of another Service."""

    def __init__(self, scope: Scope, port: int, full_names: Iterable[str]) -> None:
        self._scope = scope
        self._port = port
        self._full_names = frozenset(full_names)
        self._taken: set[str] = set()
        self._contested: set[str] = set()
        self._hosts: list[HostPlan] = []

    def add_service(self, service: Service, owner: VirtualService | None) -> None:
        self.add(service.hostname, self._scope.domains(service), service.hostname, service, owner)

    def add(
        self, host: str, wanted: tuple[str, ...], own: str, service: Service | None, owner: VirtualService | None
    ) -> None:
        """``own``: the full name, if the host is a Service. A host that gets none of its domains is not there."""
        free = tuple(
            domain
            for domain in wanted
            if domain not in self._taken and (domain == own or not own or domain not in self._full_names)
        )
        if len(free) != len(wanted):
            self._contested.update(set(wanted) - set(free))
        self._taken.update(free)
        if free:
            self._hosts.append(
                HostPlan(host=host, port=self._port, domains=free, service=service, virtual_service=owner)
            )

    def plans(self) -> Plans:
        by_name = {planned.name: planned for planned in self._hosts}
        return Plans(
            hosts={name: by_name[name] for name in sorted(by_name)},
            taken=frozenset(self._taken),
            contested=frozenset(self._contested),
        )


def _served(service: Service | None, scope: Scope, port: int) -> Service | None:
    """The Service, if clients here speak HTTP with it on the port."""
    ports = scope.ports_of(service) if service is not None else ()
    spoken = any(found.number == port and found.protocol.is_http_or_auto for found in ports)
    return service if spoken else None


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
