"""What of the mesh one client knows: services exported to it, and what its Sidecar lets in (S5, S6, S8, S10, B13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.model import MESH, Service, Sidecar, Source, VirtualService, World, exported
from pytest_mesh.oracle.names import covers
from pytest_mesh.oracle.outcomes import Step


def scoped(world: World, source: Source, steps: list[Step]) -> World:
    """Give the world as a client's proxy has it; tells which Sidecar decides."""
    services = tuple(one for one in world.services if exported(one.export_to, one.namespace, source.namespace))
    # Where the route's client has the Service in its own namespace, exportTo is not asked (B13).
    hidden = [one for one in world.services if one not in services and one.namespace == source.namespace]
    sidecar = sidecar_of(world, source)
    if sidecar is None or not sidecar.hosts:
        routes = tuple(
            one for one in world.virtual_services if MESH in one.gateways and one.visible_in(source.namespace)
        )
        services = (*services, *_brought(hidden, routes))
    seen = replace(world, services=services, named=world.services)
    if sidecar is None:
        return seen
    steps.append(Step(words=f"Sidecar {sidecar.namespace}/{sidecar.name} is the client's (S5)", line=sidecar.line))
    if sidecar.registry_only is not None:
        seen = replace(seen, registry_only=sidecar.registry_only)
    if not sidecar.hosts:
        return seen
    routes = tuple(one for one in world.virtual_services if _lets_in_routes(sidecar, one, source))
    own = [one for one in services if _lets_in(sidecar, one.namespace, one.host)]
    brought = _brought([*(one for one in services if one not in own), *hidden], routes)
    return replace(seen, services=(*own, *brought), virtual_services=routes)


def _brought(services: Iterable[Service], routes: tuple[VirtualService, ...]) -> list[Service]:
    """B13: give those that a route leads to, with the ports that routes name (all, where one names none)."""
    wanted = set(_destinations(routes))
    found = [
        replace(
            one, ports=tuple(port for port in one.ports if (one.host, port.number) in wanted or (one.host, 0) in wanted)
        )
        for one in services
    ]
    return [one for one in found if one.ports]


def sidecar_of(world: World, source: Source) -> Sidecar | None:
    """S5: the oldest with a selector of the client's labels, else the namespace's, else the root namespace's."""
    own = [one for one in world.sidecars if one.namespace == source.namespace]
    chosen = [
        *(one for one in own if one.selector and _selects(one, source)),
        *(one for one in own if not one.selector),
        *(one for one in world.sidecars if one.namespace == world.root_namespace and not one.selector),
    ]
    return chosen[0] if chosen else None


def _selects(sidecar: Sidecar, source: Source) -> bool:
    return all(source.labels.get(key) == value for key, value in sidecar.selector.items())


def _lets_in(sidecar: Sidecar, namespace: str, host: str) -> bool:
    return any(_is_namespace(sidecar, wanted, namespace) and covers(pattern, host) for wanted, pattern in sidecar.hosts)


def _lets_in_routes(sidecar: Sidecar, one: VirtualService, source: Source) -> bool:
    if not one.hosts or MESH not in one.gateways or not one.visible_in(source.namespace):
        return False
    patterns = [pattern for wanted, pattern in sidecar.hosts if _is_namespace(sidecar, wanted, one.namespace)]
    wild = [host for host in one.hosts if host.startswith("*")]
    if wild and any(pattern != "*" for pattern in patterns):
        raise Unsupported(f"{one.line}: host {wild[0]}: the oracle does not model wildcard hosts beside {sidecar.line}")
    return any(covers(pattern, host) for pattern in patterns for host in one.hosts)


def _is_namespace(sidecar: Sidecar, wanted: str, namespace: str) -> bool:
    return wanted == "*" or namespace == (sidecar.namespace if wanted == "." else wanted)


def _destinations(routes: tuple[VirtualService, ...]) -> Iterator[tuple[str, int]]:
    """B13: give hosts and ports (0 = none is named) that let-in routes send to."""
    for one in routes:
        routed = [rule.branches for rule in one.rules] + [rule.branches for rule in (*one.tcp, *one.tls)]
        named = [branch.destination for branches in routed for branch in branches]
        for destination in (*named, *(mirror.destination for rule in one.rules for mirror in rule.mirrors)):
            yield destination.host, destination.port
