"""Which VirtualService, if any, a request's host belongs to, for this client (B1-B12, F5, F6)."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_mesh.oracle.matching import filtered
from pytest_mesh.oracle.model import MESH, Block, Rule, Service, Source, VirtualService, World
from pytest_mesh.oracle.names import aliases, covers, most_specific
from pytest_mesh.oracle.outcomes import Step
from pytest_mesh.oracle.requests import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who decides: a VirtualService, else a Service by its default route, else nobody."""

    virtual_service: VirtualService | None = None
    service: Service | None = None


def visible(world: World, source: Source) -> list[VirtualService]:
    """Give the mesh VirtualServices that a client has, in the order in which they take hosts (B1, B4-B6, B12)."""
    own = [one for one in world.virtual_services if MESH in one.gateways and one.visible_in(source.namespace)]

    def rank(one: VirtualService) -> int:
        """Private (``.`` and the own namespace by its name are alike), exported to the client's namespace, public."""
        if not one.export_to or "*" in one.export_to:
            return 2
        return int(one.namespace != source.namespace)

    return sorted(own, key=rank)


def blocks_of(rule: Rule) -> tuple[Block, ...]:
    """Give the rule's blocks; M16: one without conditions where it has none."""
    return rule.blocks or (Block(line=rule.line),)


def owner(world: World, source: Source, request: Seen, steps: list[Step]) -> Owner:
    """Find who decides about a request; tells each step.

    VirtualServices claim names in their order: first their hosts that are no Service, then every name of the Services
    that are theirs. A name has one owner, so a VirtualService of ``reviews.shop`` may take that one name of a Service
    from the VirtualService that has the Service itself.
    """
    candidates = [one for one in visible(world, source) if _has_routes(one, source, request.port, steps)]
    services = [one for one in world.services if _listens(one, request.port)]
    owners = {service.host: _owner_of(service, candidates) for service in services}
    domains = {
        domain: service
        for service in reversed(services)
        if (domain := called(service, world, source.namespace, request.host))
    }
    exact = domains.get(request.host)
    for one in candidates:
        if request.host in one.hosts and request.host not in owners and _is_known_here(one, services, request.port):
            steps.append(_bound(request, one, request.host, None))
            _tell_rivals(candidates, one, request.host, steps)
            return Owner(virtual_service=one)
        if exact is not None and owners[exact.host][0] is one:
            return _owned(request, exact, owners[exact.host], candidates, steps)
    if exact is not None:
        return _owned(request, exact, owners[exact.host], candidates, steps)
    wild = {
        host: one
        for one in reversed(candidates)
        for host in one.hosts
        if host.startswith("*")
        and _is_known_here(one, services, request.port)
        and not any(covers(host, service.host) for service in services)
    }
    best = most_specific((*wild, *domains), request.host)
    if best in domains:
        return _owned(request, domains[best], owners[domains[best].host], candidates, steps)
    if best:
        steps.append(_bound(request, wild[best], best, None))
        return Owner(virtual_service=wild[best])
    steps.append(
        Step(words=f"host {request.host} is neither a Service nor any VirtualService's on port {request.port}")
    )
    return Owner()


def called(service: Service, world: World, namespace: str, host: str) -> str:
    """Give the name by which a client of a namespace calls a service so; empty = it does not (§1.0).

    A ServiceEntry has its host alone; a headless Service's pods have names below its own.
    """
    if service.entry:
        return service.host if covers(service.host, host) else ""
    names = aliases(service.name, service.namespace, namespace, world.domain)
    if host in names:
        return host
    return next((f"*.{name}" for name in names if service.headless and host.endswith(f".{name}")), "")


def _listens(service: Service, number: int) -> bool:
    port = service.port(number)
    return port is not None and port.protocol in {"http", "detected"}


def _owned(
    request: Seen,
    service: Service,
    found: tuple[VirtualService | None, str],
    candidates: list[VirtualService],
    steps: list[Step],
) -> Owner:
    one, pattern = found
    if one is None:
        steps.append(Step(words=f"host {request.host} is Service {service.host}; no VirtualService takes it"))
        return Owner(service=service)
    steps.append(_bound(request, one, pattern, service))
    _tell_rivals(candidates, one, pattern, steps)
    return Owner(virtual_service=one, service=service)


def _owner_of(service: Service, candidates: list[VirtualService]) -> tuple[VirtualService | None, str]:
    """Give the VirtualService of a Service, and the host by which it is: the exact one, else the longest wildcard (B7)."""
    exact = next((one for one in candidates if service.host in one.hosts), None)
    if exact is not None:
        return exact, service.host
    wild = {host: one for one in reversed(candidates) for host in one.hosts if host.startswith("*")}
    best = most_specific(wild, service.host)
    return (wild[best], best) if best else (None, "")


def _has_routes(one: VirtualService, source: Source, port: int, steps: list[Step]) -> bool:
    """F5: a VirtualService without any block for this client is as if it were not there."""
    if any(not filtered(block, source, port) for rule in one.rules for block in blocks_of(rule)):
        return True
    steps.append(Step(words="no block is for this client and port: the VirtualService is left out (F5)", line=one.line))
    return False


def _is_known_here(one: VirtualService, services: list[Service], port: int) -> bool:
    """B10: a host that is no Service is known on port 80, and where its VirtualService has a Service."""
    return port == 80 or any(covers(host, service.host) for service in services for host in one.hosts)


def _bound(request: Seen, one: VirtualService, pattern: str, service: Service | None) -> Step:
    what = f"Service {service.host}" if service else "no Service"
    line = one.line.field(f"spec.hosts[{one.hosts.index(pattern)}]")
    return Step(words=f"host {request.host} ({what}) belongs to VirtualService {one.namespace}/{one.name}", line=line)


def _tell_rivals(candidates: list[VirtualService], taken: VirtualService, host: str, steps: list[Step]) -> None:
    steps += [
        Step(
            words=f"the VirtualService has host {host} too, but comes later{_by_name(one, taken)} and is ignored (B5, B6)",
            line=one.line,
        )
        for one in candidates
        if one is not taken and host in one.hosts
    ]


def _by_name(one: VirtualService, taken: VirtualService) -> str:
    """Say that no time of creation decides, as in documents that no cluster has seen."""
    return "" if one.created != taken.created else " (by its name: neither was created first)"
