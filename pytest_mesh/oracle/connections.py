"""Connections that carry no HTTP the proxy reads: TCP and TLS routes (T1-T6), chosen by host, port and server name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal
from urllib.parse import urlsplit

from pytest_mesh.contracts import Request
from pytest_mesh.oracle.binding import called, visible
from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.matching import filtered
from pytest_mesh.oracle.model import (
    Branch,
    ConnectionRule,
    Destination,
    Service,
    Source,
    Workload,
    World,
)
from pytest_mesh.oracle.names import covers, most_specific
from pytest_mesh.oracle.outcomes import Outcome, Prediction, Step, merged
from pytest_mesh.oracle.targets import Target, target


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """A connection that a client opens."""

    address: str
    """The name that it looks up."""
    port: int
    kind: Literal["tcp", "tls"]
    server_name: str = ""
    """SNI; of ``tls`` only."""


def is_connection(request: Request) -> bool:
    """Whether a request's URL asks for a connection only."""
    return request.url.startswith(("tcp://", "tls://"))


def dialled(request: Request) -> Dialled:
    """Read ``tcp://host:port``, or ``tls://host:port``: there the server name is a header ``sni``, else the host."""
    url = urlsplit(request.url)
    if not url.hostname or not url.port or url.path.strip("/") or url.query:
        raise Unsupported(f"{request.url}: want tcp://HOST:PORT or tls://HOST:PORT")
    name = next((value for key, value in request.headers if key.lower() == "sni"), url.hostname)
    kind: Literal["tcp", "tls"] = "tls" if url.scheme == "tls" else "tcp"
    return Dialled(
        address=url.hostname.lower(), port=url.port, kind=kind, server_name=name.lower() if kind == "tls" else ""
    )


def behind_address(world: World, source: Source, address: str) -> tuple[Service, tuple[Workload, ...]] | None:
    """Give the Service whose name a client dials, and its pods; None where nothing is known of the address."""
    for service in world.named or world.services:
        if not service.entry and called(service, world, source.namespace, address):
            workloads = world.behind(service, {})
            if workloads:
                return service, workloads
    return None


def check_dialled(world: World, found: Target, there: tuple[Service, tuple[Workload, ...]] | None) -> None:
    """Refuse a headless Service whose client dials others' pods: a proxy may refuse their certificates."""
    service = world.service(found.host)
    if service is None or not service.headless or there is None:
        return
    if not {one.name for one in there[1]} <= {one.name for one in world.behind(service, {})}:
        raise Unsupported(
            f"{service.line}: headless, and the client dials pods of {there[0].host}, which are not its own"
        )


def predict(world: World, source: Source, request: Dialled, steps: list[Step]) -> Prediction:
    """Give where a connection may end; the probabilities count connections, not what is sent on them (T5)."""
    assumed: dict[str, None] = {}
    outcomes = merged(_outcomes(world, source, request, steps, assumed))
    return Prediction(outcomes=outcomes, steps=tuple(steps), assumptions=(*assumed, *world.assumptions))


def _outcomes(
    world: World, source: Source, request: Dialled, steps: list[Step], assumed: dict[str, None]
) -> Iterator[Outcome]:
    service = _service(world, source, request)
    if service is None:
        if any(one.port(request.port) for one in world.services):
            raise Unsupported(
                f"{request.address}:{request.port}: the oracle does not know which listener takes an address of no Service"
            )
        if world.registry_only:
            steps.append(Step(words=f"{request.address}:{request.port} is no Service; REGISTRY_ONLY: closed (F8)"))
            yield Outcome(by="proxy", status=0, flag="BH")
        else:
            steps.append(Step(words=f"{request.address}:{request.port} is no Service; ALLOW_ANY: passed on (F6)"))
            yield Outcome(by="outside")
        return
    for branch, share in _shares(world, source, service, request, steps):
        found = target(world, source, branch.destination, request.port, steps, http=False)
        assumed.update(dict.fromkeys(found.assumptions))
        known = Outcome(
            probability=share,
            status=0,
            host=found.host,
            subset=found.subset,
            port=found.port,
            workloads=found.workloads,
        )
        if found.flag:
            yield replace(known, by="proxy", flag=found.flag)
        elif found.reached == "pods":
            yield known
        else:
            there = behind_address(world, source, request.address) if found.reached == "dialled" else None
            check_dialled(world, found, there)
            yield replace(known, workloads=there[1]) if there else replace(known, by="outside")


def _service(world: World, source: Source, request: Dialled) -> Service | None:
    """Find the service that listens at an address and port; refuses one whose protocol is another."""
    found = {
        domain: one
        for one in reversed(world.services)
        if one.port(request.port) and (domain := called(one, world, source.namespace, request.address))
    }
    best = most_specific(found, request.address)
    if best is None:
        return None
    service = found[best]
    port = service.port(request.port)
    if port is None or port.protocol != request.kind:
        spoken = "nothing" if port is None else port.protocol
        raise Unsupported(
            f"{service.line}: port {request.port} speaks {spoken}: the oracle does not model {request.kind} to it"
        )
    _check_entry(world, service, request)
    return service


def _check_entry(world: World, service: Service, request: Dialled) -> None:
    """Refuse what a ServiceEntry without an address of its own makes of a port (S4), and foreign server names to it."""
    if not service.entry:
        return
    others = [one for one in world.services if one is not service and one.port(request.port)]
    if request.kind == "tcp" and others:
        raise Unsupported(
            f"{service.line}: {others[0].line} has port {request.port} too: which one listens is not modelled (S4)"
        )
    if request.kind == "tls" and not covers(service.host, request.server_name):
        raise Unsupported(
            f"{service.line}: the oracle does not model server name {request.server_name!r} to {service.host}"
        )


def _shares(
    world: World, source: Source, service: Service, request: Dialled, steps: list[Step]
) -> Iterator[tuple[Branch, Fraction]]:
    rule = _rule(world, source, service, request, steps)
    if rule is None:
        destination = Destination(host=service.host, port=request.port, line=service.line)
        yield Branch(destination=destination, line=service.line), Fraction(1)
        return
    total = sum(one.weight for one in rule.branches)
    single = len(rule.branches) == 1
    for branch in rule.branches:
        share = Fraction(1) if single else Fraction(branch.weight, total)
        where = f"{branch.destination.host} {branch.destination.subset}".rstrip()
        steps.append(Step(words=f"{float(share * 100):g}% of the connections to {where}", line=branch.line))
        if share:
            yield branch, share


def _rule(world: World, source: Source, service: Service, request: Dialled, steps: list[Step]) -> ConnectionRule | None:
    """Find the route that takes a connection, of every VirtualService with the host; None = the service's own."""
    ours = [one for one in visible(world, source) if any(covers(host, service.host) for host in one.hosts)]
    rules = [rule for one in ours for rule in (one.tls if request.kind == "tls" else one.tcp)]
    there = [rule for rule in rules if _is_there(rule, source, request)]
    found = _by_name(there, source, request) if request.kind == "tls" else next(iter(there), None)
    if found is not None:
        steps.append(Step(words=f"takes connections to {service.host}", line=found.line))
    elif there:
        raise Unsupported(
            f"{there[0].line}: no tls route takes server name {request.server_name!r}: "
            "the oracle does not model what becomes of a name that no route has"
        )
    else:
        steps.append(Step(words=f"no route is for {service.host}: its own destination (T6)", line=service.line))
    return found


def _is_there(rule: ConnectionRule, source: Source, request: Dialled) -> bool:
    """T2, T3: whether a route has a block for this client and port, or none at all."""
    return not rule.blocks or any(not filtered(one.static, source, request.port) for one in rule.blocks)


def _by_name(rules: list[ConnectionRule], source: Source, request: Dialled) -> ConnectionRule | None:
    """T1, T4: of the routes for this client and port the one whose server name fits best; of equal names the first."""
    found: dict[str, ConnectionRule] = {}
    for rule in rules:
        for block in rule.blocks:
            if filtered(block.static, source, request.port):
                continue
            for name in block.names:
                if covers(name.lower(), request.server_name):
                    found.setdefault(name.lower(), rule)
    best = most_specific(found, request.server_name)
    return found[best] if best else None
