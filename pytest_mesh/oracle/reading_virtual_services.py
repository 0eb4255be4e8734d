"""VirtualServices into their model: hosts, export, delegates (R19), and the routes of each protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from pytest_mesh.contracts import Json
from pytest_mesh.oracle.delegates import merged
from pytest_mesh.oracle.errors import Malformed, Unsupported
from pytest_mesh.oracle.fields import Fields, Line
from pytest_mesh.oracle.model import (
    MESH,
    Block,
    ConnectionBlock,
    ConnectionRule,
    Destination,
    Rule,
    VirtualService,
    exported,
)
from pytest_mesh.oracle.names import resolve
from pytest_mesh.oracle.reading_routes import read_block, read_branches, read_destination, read_rule

Written = tuple[Json, str, Line]
"""A document, its namespace, its line."""


def read_virtual_services(found: Sequence[Written], domain: str) -> list[VirtualService]:
    """Read the documents; raises ``Unsupported`` or ``Malformed`` with the field. Delegates go into their roots."""
    delegates = {
        (namespace, document["metadata"]["name"]): (document, line)
        for document, namespace, line in found
        if not (document.get("spec") or {}).get("hosts")
    }
    for (namespace, _), (document, line) in delegates.items():
        _delegate_rules(document, namespace, domain, line)
    return [
        _virtual_service(document, namespace, domain, line, delegates)
        for document, namespace, line in found
        if (document.get("spec") or {}).get("hosts")
    ]


Delegates = dict[tuple[str, str], tuple[Json, Line]]


def _virtual_service(document: Json, namespace: str, domain: str, line: Line, delegates: Delegates) -> VirtualService:
    spec = Fields(document.get("spec") or {}, line.field("spec"))
    spec.knows({"hosts", "gateways", "http", "tcp", "tls", "exportTo"})
    destination = partial(read_destination, namespace=namespace, domain=domain)
    rules: list[Rule] = []
    for fields in spec.each("http"):
        if "delegate" in fields:
            rules += _delegated(fields, namespace, domain, delegates)
        else:
            rules.append(read_rule(fields, destination))
    return VirtualService(
        name=document["metadata"]["name"],
        namespace=namespace,
        hosts=tuple(resolve(host, namespace, domain) for host in spec.texts("hosts")),
        gateways=spec.texts("gateways") or (MESH,),
        rules=tuple(rules),
        tcp=tuple(_connections(fields, destination) for fields in spec.each("tcp")),
        tls=tuple(_connections(fields, destination) for fields in spec.each("tls")),
        export_to=frozenset(spec.texts("exportTo")),
        created=str(document["metadata"].get("creationTimestamp") or ""),
        line=line,
    )


def _delegated(fields: Fields, namespace: str, domain: str, delegates: Delegates) -> Iterator[Rule]:
    """R19: give the delegate's routes within the root's; none where the delegate is not there or not exported here."""
    for action in ("route", "redirect", "directResponse"):
        if action in fields:
            raise Malformed(f"{fields.line}: delegate and {action} exclude each other (R19)")
    named = fields.below("delegate")
    assert named is not None  # noqa: S101 - the caller saw it
    named.knows({"name", "namespace"})
    where = named.text("namespace") or namespace
    found = delegates.get((where, named.text("name")))
    if found is None:
        return
    document, line = found
    if not exported(frozenset((document.get("spec") or {}).get("exportTo") or ()), where, namespace):
        return
    by = f"{line.object} (delegate of {fields.line.object}: {fields.line.path})"
    for index, route in enumerate(document["spec"].get("http") or ()):
        one = merged(fields.mapping, route, namespace=namespace, domain=domain)
        if one is not None:
            at = Line(file=line.file, object=by, path=f"spec.http[{index}]")
            yield read_rule(Fields(one, at), partial(read_destination, namespace=where, domain=domain))


def _delegate_rules(document: Json, namespace: str, domain: str, line: Line) -> None:
    """Refuse a delegate that a mesh refuses, or that is not modelled, whoever names it."""
    spec = Fields(document.get("spec") or {}, line.field("spec"))
    spec.knows({"http", "exportTo", "hosts"}, refused={"gateways", "tcp", "tls"})
    for fields in spec.each("http"):
        if "delegate" in fields:
            raise Malformed(f"{fields.at('delegate')}: a delegate hands on to nobody (R19)")
        read_rule(fields, partial(read_destination, namespace=namespace, domain=domain))


def _connections(fields: Fields, destination: partial[Destination]) -> ConnectionRule:
    """Read an entry of ``tcp`` or ``tls`` (T1-T5)."""
    fields.knows({"match", "route"})
    branches = read_branches(fields, destination)
    if not branches:
        raise Malformed(f"{fields.line}: no route")
    is_tls = ".tls[" in fields.line.path
    blocks = tuple(_connection_block(item, is_tls=is_tls) for item in fields.each("match"))
    if is_tls and not (blocks and all(block.names for block in blocks)):
        raise Malformed(f"{fields.at('match')}: sniHosts are required (T1)")
    return ConnectionRule(blocks=blocks, branches=branches, line=fields.line)


def _connection_block(fields: Fields, *, is_tls: bool) -> ConnectionBlock:
    static = {"port", "sourceLabels", "sourceNamespace", "gateways"}
    fields.knows({*static, "destinationSubnets", *(("sniHosts",) if is_tls else ())}, refused={"sourceSubnet"})
    block: Block = read_block(Fields({key: fields.mapping[key] for key in static if key in fields}, fields.line))
    subnets = fields.texts("destinationSubnets")
    if subnets:
        raise Unsupported(f"{fields.at('destinationSubnets')}: the oracle does not know addresses")
    return ConnectionBlock(names=fields.texts("sniHosts"), subnets=subnets, static=replace(block, line=fields.line))
