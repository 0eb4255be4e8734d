"""What documents of routes alone leave unsaid: the Services that they route to, and pods behind them. Pure.

Each addition is told among the world's assumptions. Whether anything is to be assumed is the caller's (``mesh``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_mesh.oracle.fields import Line
from pytest_mesh.oracle.model import Port, Service, VirtualService, Workload, World

_HTTP_PORT = 80
_LABEL = "assumed-service"
"""What selects the pods: no subset asks for another value of it."""


def with_pods(world: World) -> World:
    """Put pods behind Services that have none: one plain, one with the labels of each subset."""
    made: dict[tuple[str, str], Workload] = {}
    assumed = []
    for service in world.services:
        if not service.selector or world.behind(service, {}):
            continue
        subsets = [one for rule in world.destination_rules if rule.host == service.host for one in rule.subsets]
        assumed.append(f"Service {service.host} has pods, and each of its subsets has ({service.line})")
        for name, labels in [("pod", {}), *((one.name, one.labels) for one in subsets)]:
            pod = f"{service.name}-{name}"
            made[service.namespace, pod] = Workload(
                name=pod, namespace=service.namespace, labels={**service.selector, **labels}
            )
    return replace(world, workloads=(*world.workloads, *made.values()), assumptions=(*world.assumptions, *assumed))


def with_services(world: World) -> World:
    """Take every host of the cluster that http routes name for an HTTP Service, where the documents hold no Service.

    Its ports are 80 and those to which a destination leads. A world with Services or ServiceEntries stays as it is.
    """
    if world.services:
        return world
    ports: dict[str, set[int]] = {}
    lines: dict[str, Line] = {}
    for virtual_service in world.virtual_services:
        for host, port, line in _named(virtual_service):
            if _own(host, world.domain):
                lines.setdefault(host, line)
                ports.setdefault(host, {_HTTP_PORT}).add(port or _HTTP_PORT)
    services = tuple(_service(host, ports[host], line) for host, line in lines.items())
    assumed = tuple(f"{one.host} is a Service with the HTTP {_listed(one.ports)} ({one.line})" for one in services)
    return replace(world, services=(*world.services, *services), named=(), assumptions=(*world.assumptions, *assumed))


def _named(virtual_service: VirtualService) -> Iterator[tuple[str, int, Line]]:
    """Give the hosts of http routes, each with the port that is given of it (0 = none)."""
    if virtual_service.rules:
        for host in virtual_service.hosts:
            yield host, 0, virtual_service.line
    for rule in virtual_service.rules:
        for one in (*(one.destination for one in rule.branches), *(one.destination for one in rule.mirrors)):
            yield one.host, one.port, one.line


def _own(host: str, domain: str) -> bool:
    return host.endswith(f".svc.{domain}") and "*" not in host and host.count(".") == domain.count(".") + 3


def _service(host: str, ports: set[int], line: Line) -> Service:
    name, namespace, *_ = host.split(".")
    found = tuple(Port(number=number, protocol="http") for number in sorted(ports))
    return Service(name=name, namespace=namespace, host=host, ports=found, selector={_LABEL: name}, line=line)


def _listed(ports: tuple[Port, ...]) -> str:
    return f"port{'s' if len(ports) > 1 else ''} {', '.join(str(port.number) for port in ports)}"
