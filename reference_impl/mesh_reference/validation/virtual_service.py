"""Rules about a VirtualService as a whole, and about its TLS and TCP routes.

HTTP routes have a module of their own; the shape has been checked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.headers import is_claim
from mesh_reference.validation.http_route import check_destinations, check_http_route
from mesh_reference.validation.names import (
    check_export_to,
    check_gateway_names,
    check_labels,
    check_port,
    check_subnet,
    gateway_domain_problem,
    host_is_subset,
    host_matches,
    is_ip,
    quote,
    wildcard_domain_problem,
)
from mesh_reference.validation.unreachable import check_reachable

Json = Mapping[str, Any]

_MESH = "mesh"


def check_virtual_service(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``; ``namespace`` is the resource's own."""
    hosts: Sequence[str] = spec.get("hosts") or ()
    gateways: Sequence[str] = spec.get("gateways") or ()
    gateway_only = bool(gateways) and _MESH not in gateways
    if not hosts:
        _check_delegate(out, spec)
    check_gateway_names(out, ("spec", "gateways"), gateways)
    if not gateway_only:
        _check_claims(out, spec, gateways)
    _check_hosts(out, spec, hosts, gateway_only=gateway_only)
    if not any(spec.get(protocol) for protocol in ("http", "tcp", "tls")):
        out.error(("spec",), "V5", "http, tcp or tls must be provided in virtual service")
    for index, route in enumerate(spec.get("http") or ()):
        check_http_route(out, ("spec", "http", index), route, delegate=not hosts)
    for index, route in enumerate(spec.get("tls") or ()):
        _check_tls_route(out, ("spec", "tls", index), route, hosts, gateway_only=gateway_only)
    for index, route in enumerate(spec.get("tcp") or ()):
        _check_tcp_route(out, ("spec", "tcp", index), route)
    check_export_to(out, namespace, spec.get("exportTo"), has_selector=False)
    for protocol in ("http", "tcp", "tls"):
        check_reachable(out, ("spec", protocol), spec.get(protocol))


def _check_delegate(out: Findings, spec: Json) -> None:
    if spec.get("gateways"):
        out.error(("spec", "gateways"), "V1a", "delegate virtual service must have no gateways specified")
    if spec.get("tls"):
        out.error(("spec", "tls"), "V1b", "delegate virtual service must have no tls route specified")
    if spec.get("tcp"):
        out.error(("spec", "tcp"), "V1c", "delegate virtual service must have no tcp route specified")


def _check_claims(out: Findings, spec: Json, gateways: Sequence[str]) -> None:
    for number, route in enumerate(spec.get("http") or ()):
        for index, match in enumerate(route.get("match") or ()):
            for field in ("headers", "withoutHeaders"):
                for name in match.get(field) or {}:
                    if is_claim(name):
                        out.error(
                            ("spec", "http", number, "match", index, field, name),
                            "V40c",
                            f"JWT claim based routing (key: {name}) is only supported for gateway, "
                            f"found no gateways: [{' '.join(gateways)}]",
                        )


def _check_hosts(out: Findings, spec: Json, hosts: Sequence[str], *, gateway_only: bool) -> None:
    valid = True
    sni = any(match.get("sniHosts") for route in spec.get("tls") or () for match in route.get("match") or ())
    for index, host in enumerate(hosts):
        problem = gateway_domain_problem(host, sni=sni) if gateway_only else wildcard_domain_problem(host)
        if problem and not is_ip(host):
            out.error(("spec", "hosts", index), "V2", problem)
            valid = False
        elif host == "*" and not gateway_only:
            message = "wildcard host * is not allowed for virtual services bound to the mesh gateway"
            out.error(("spec", "hosts", index), "V3", message)
            valid = False
    if not valid:
        return
    for index, host in enumerate(hosts):
        for later in range(index + 1, len(hosts)):
            if host_matches(host, hosts[later]):
                message = f"duplicate hosts in virtual service: {host} & {hosts[later]}"
                out.error(("spec", "hosts", later), "V4", message)


def _check_tls_route(out: Findings, path: Path, route: Json, hosts: Sequence[str], *, gateway_only: bool) -> None:
    if not route.get("match"):
        out.error((*path, "match"), "V37a", "TLS route must have at least one match condition")
    for index, match in enumerate(route.get("match") or ()):
        here = (*path, "match", index)
        if not match.get("sniHosts"):
            out.error((*here, "sniHosts"), "V37b", "TLS match must have at least one SNI host")
        for number, sni in enumerate(match.get("sniHosts") or ()):
            _check_sni(out, (*here, "sniHosts", number), sni, hosts, gateway_only=gateway_only)
        _check_attributes(out, here, match)
    if not route.get("route"):
        out.error((*path, "route"), "V38a", "TLS route is required")
    check_destinations(out, (*path, "route"), route.get("route"))


def _check_sni(out: Findings, path: Path, sni: str, hosts: Sequence[str], *, gateway_only: bool) -> None:
    problem = gateway_domain_problem(sni, sni=True) if gateway_only else wildcard_domain_problem(sni)
    if problem and is_ip(sni):
        message = f"using an IP address ({quote(sni)}) goes against SNI spec and most clients do not support this"
        out.warning(path, "V37d", message)
    elif problem:
        out.error(path, "V37e", problem)
    elif hosts and not any(host_is_subset(sni, host) for host in hosts):
        out.error(
            path,
            "V37c",
            f"SNI host {quote(sni)} is not a compatible subset of any of the virtual service hosts: "
            f"[{', '.join(hosts)}]",
        )


def _check_tcp_route(out: Findings, path: Path, route: Json) -> None:
    for index, match in enumerate(route.get("match") or ()):
        _check_attributes(out, (*path, "match", index), match)
    if not route.get("route"):
        out.error((*path, "route"), "V38b", "TCP route is required")
    check_destinations(out, (*path, "route"), route.get("route"))


def _check_attributes(out: Findings, path: Path, match: Json) -> None:
    for index, subnet in enumerate(match.get("destinationSubnets") or ()):
        check_subnet(out, (*path, "destinationSubnets", index), subnet)
    if match.get("port"):
        check_port(out, (*path, "port"), match["port"])
    check_labels(out, (*path, "sourceLabels"), match.get("sourceLabels"))
    check_gateway_names(out, (*path, "gateways"), match.get("gateways"))
