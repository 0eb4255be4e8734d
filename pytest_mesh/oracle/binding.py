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
        if one.export_to == {"."}:
            return 0
        return 2 if not one.export_to or "*" in one.export_to else 1

    return sorted(own, key=rank)


def blocks_of(rule: Rule) -> tuple[Block, ...]:
    """Give the rule's blocks; M16: one without conditions where it has none."""
    return rule.blocks or (Block(line=rule.line),)


def owner(world: World, source: Source, request: Seen, steps: list[Step]) -> Owner:
    """Find who decides about a request; tells each step."""
    service = _called(world, source, request)
    candidates = [one for one in visible(world, source) if _has_routes(one, source, request.port, steps)]
    if service is not None:
        exact = next((one for one in candidates if service.host in one.hosts), None)
        wild = {host: one for one in reversed(candidates) for host in one.hosts if host.startswith("*")}
        best = most_specific(wild, service.host)
        found = exact or (wild[best] if best else None)
        if found is None:
            steps.append(Step(words=f"host {request.host} is Service {service.host}; no VirtualService takes it"))
            return Owner(service=service)
        pattern = service.host if exact else best
        steps.append(_bound(request, found, str(pattern), service))
        _tell_rivals(candidates, found, str(pattern), steps)
        return Owner(virtual_service=found, service=service)
    # B10: a host that is no Service is known on port 80, and where its VirtualService has a Service.
    for one in candidates:
        if request.host in one.hosts and _is_known_here(world, one, request.port):
            steps.append(_bound(request, one, request.host, None))
            _tell_rivals(candidates, one, request.host, steps)
            return Owner(virtual_service=one)
    wild = {
        host: one
        for one in reversed(candidates)
        for host in one.hosts
        if host.startswith("*") and _is_known_here(world, one, request.port) and not _takes_services(world, host)
    }
    best = most_specific(wild, request.host)
    if best:
        steps.append(_bound(request, wild[best], best, None))
        return Owner(virtual_service=wild[best])
    steps.append(
        Step(words=f"host {request.host} is neither a Service nor any VirtualService's on port {request.port}")
    )
    return Owner()


def _called(world: World, source: Source, request: Seen) -> Service | None:
    for service in world.services:
        port = service.port(request.port)
        names = aliases(service.name, service.namespace, source.namespace, world.domain)
        if request.host in names and port is not None and (port.http or not port.declared):
            return service
    return None


def _has_routes(one: VirtualService, source: Source, port: int, steps: list[Step]) -> bool:
    """F5: a VirtualService without any block for this client is as if it were not there."""
    if any(not filtered(block, source, port) for rule in one.rules for block in blocks_of(rule)):
        return True
    steps.append(Step(words="no block is for this client and port: the VirtualService is left out (F5)", line=one.line))
    return False


def _is_known_here(world: World, one: VirtualService, port: int) -> bool:
    if port == 80:
        return True
    return any(
        (found := service.port(port)) is not None
        and found.http
        and any(covers(host, service.host) for host in one.hosts)
        for service in world.services
    )


def _takes_services(world: World, pattern: str) -> bool:
    return any(covers(pattern, service.host) for service in world.services)


def _bound(request: Seen, one: VirtualService, pattern: str, service: Service | None) -> Step:
    what = f"Service {service.host}" if service else "no Service"
    line = one.line.field(f"spec.hosts[{one.hosts.index(pattern)}]")
    return Step(words=f"host {request.host} ({what}) belongs to VirtualService {one.namespace}/{one.name}", line=line)


def _tell_rivals(candidates: list[VirtualService], taken: VirtualService, host: str, steps: list[Step]) -> None:
    steps += [
        Step(words=f"the VirtualService has host {host} too, but comes later and is ignored (B5, B6)", line=one.line)
        for one in candidates
        if one is not taken and host in one.hosts
    ]
