"""The listeners of a gateway: its Gateways' servers merged port by port (S11). Pure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.model import hosts
from mesh_reference.xds import access_logs, listener_filters, names, network_filters, transport_sockets
from mesh_reference.xds.authorization import NOTHING, Filters
from mesh_reference.xds.messages import NO_TIMEOUT, pack, socket_address
from mesh_reference.xds.outbound_plans import ChainPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mesh_reference.model.gateways import Gateway, Server, ServerTls
    from mesh_reference.model.l4_routes import L4Match, L4Route
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.settings import Settings
    from mesh_reference.xds.gateway_routes import GatewayTargets
    from mesh_reference.xds.route_matches import Client

logger = logging.getLogger(__name__)

Placed = tuple["Gateway", "Server"]
_Chain = listener_components_pb2.FilterChain
_Match = listener_components_pb2.FilterChainMatch
_VERSIONS = {
    "TLSV1_0": common_pb2.TlsParameters.TLSv1_0,
    "TLSV1_1": common_pb2.TlsParameters.TLSv1_1,
    "TLSV1_2": common_pb2.TlsParameters.TLSv1_2,
    "TLSV1_3": common_pb2.TlsParameters.TLSv1_3,
}


def by_port(gateways: Iterable[Gateway]) -> dict[int, list[Placed]]:
    """Servers by port, the oldest Gateway's first: it says whether a port is plain HTTP, and who disagrees is left out."""
    out: dict[int, list[Placed]] = {}
    for gateway in sorted(gateways, key=lambda item: item.meta.age_key):
        for server in gateway.servers:
            found = out.setdefault(server.port, [])
            if found and _kind(found[0][1]) != _kind(server):
                logger.warning("Gateway %s: port %d is of another protocol already", gateway.name, server.port)
                continue
            found.append((gateway, server))
    return out


def _kind(server: Server) -> str:
    """What may share a port: plain HTTP, TLS of any sort, bytes."""
    if server.protocol.is_http and not server.terminates:
        return "http"
    return "tls" if server.tls is not None and not server.protocol.is_http else "tcp"


def route_names(servers: Sequence[Placed], target: int) -> dict[str, list[Placed]]:
    """Route configuration: the servers that it is for. Plain HTTP shares one for each port."""
    out: dict[str, list[Placed]] = {}
    for gateway, server in servers:
        if server.is_http:
            out.setdefault(route_name(gateway, server, target), []).append((gateway, server))
    return out


def route_name(gateway: Gateway, server: Server, target: int) -> str:
    """``http.8080``, or ``https.443.name.gateway.namespace``."""
    if not server.terminates:
        return f"http.{target}"
    return f"https.{server.port}.{server.name}.{gateway.meta.name}.{gateway.meta.namespace}"


def listener(
    servers: Sequence[Placed],
    target: int,
    services: Sequence[VirtualService],
    client: Client,
    targets: GatewayTargets,
    settings: Settings,
    first: Filters = NOTHING,
) -> listener_pb2.Listener | None:
    """``0.0.0.0_<target>``; None when nothing would be done with any connection.

    ``first``: filters that every connection and every request meets before all others.
    """
    chains: list[listener_components_pb2.FilterChain] = []
    claimed: set[str] = set()
    for gateway, server in servers:
        for chain in _chains(gateway, server, target, services, client, targets, settings, first):
            sni = tuple(chain.filter_chain_match.server_names) or ("",)
            free = [name for name in sni if name not in claimed]
            if not free:
                continue  # the older Gateway has it
            claimed.update(free)
            del chain.filter_chain_match.server_names[:]
            chain.filter_chain_match.server_names.extend(name for name in free if name)
            chains.append(chain)
    if not chains:
        return None
    out = listener_pb2.Listener(
        name=names.listener(names.WILDCARD, target),
        address=socket_address(names.WILDCARD, target),
        traffic_direction=base_pb2.OUTBOUND,
        filter_chains=chains,
        access_log=access_logs.unmatched(settings.access_log_path),
    )
    if any(server.tls is not None for _gateway, server in servers):
        out.listener_filters.append(listener_filters.tls_inspector())
        out.listener_filters_timeout.CopyFrom(NO_TIMEOUT)
        out.continue_on_listener_filters_timeout = True
    return out


def _chains(
    gateway: Gateway,
    server: Server,
    target: int,
    services: Sequence[VirtualService],
    client: Client,
    targets: GatewayTargets,
    settings: Settings,
    first: Filters,
) -> Iterator[listener_components_pb2.FilterChain]:
    log = settings.access_log_path
    tls = server.tls if server.terminates else None
    sni = _sni(server) if tls is not None else ()
    socket = _terminate(tls, server, settings) if tls is not None else None
    if server.is_http:
        route = route_name(gateway, server, target)
        prefix = f"outbound_{names.listener(names.WILDCARD, target)}"
        http = network_filters.gateway_http(route, prefix, log, first=first.http)
        yield _Chain(filter_chain_match=_Match(server_names=sni), filters=[http], transport_socket=socket)
        return
    for plan in _routed(gateway, server, services, client, targets):
        yield _Chain(
            filter_chain_match=_Match(server_names=plan.sni or sni),
            filters=[*first.network, network_filters.tcp_branches(plan, log)],
            transport_socket=socket,
        )


def _routed(
    gateway: Gateway, server: Server, services: Sequence[VirtualService], client: Client, targets: GatewayTargets
) -> Iterator[ChainPlan]:
    """Bytes go by TCP routes where TLS ends here or there is none, else by TLS routes and their SNI."""
    passed_on = server.tls is not None and not server.terminates
    for item in services:
        if gateway.name not in item.gateways:
            continue
        if not any(server.common(item.meta.namespace, host) for host in item.hosts):
            continue
        for route in item.tls if passed_on else item.tcp:
            fitting = [match for match in route.matches if _applies(match, gateway, server, client)]
            if passed_on:
                for match in fitting:
                    sni = tuple(name for name in match.sni if name != "*" and _takes(server, name))
                    yield _plan(item, route, server, targets, sni)
            elif fitting or not route.matches:
                yield _plan(item, route, server, targets, ())


def _applies(match: L4Match, gateway: Gateway, server: Server, client: Client) -> bool:
    return (
        match.port in {0, server.port}
        and (not match.gateways or gateway.name in match.gateways)
        and match.source_namespace in {"", client.namespace}
    )


def _takes(server: Server, name: str) -> bool:
    return any(hosts.matches(pattern, name) for _namespace, pattern in server.hosts)


def _plan(
    item: VirtualService, route: L4Route, server: Server, targets: GatewayTargets, sni: tuple[str, ...]
) -> ChainPlan:
    several = len(route.destinations) > 1
    return ChainPlan(
        branches=tuple(
            (targets.l4_cluster(branch.destination, server.port), branch.weight)
            for branch in route.destinations
            if branch.weight or not several
        ),
        stat_prefix=f"{item.meta.name}.{item.meta.namespace}",
        sni=sni,
    )


def _sni(server: Server) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(host for _namespace, host in server.hosts))
    return () if "*" in found else found


def _terminate(tls: ServerTls, server: Server, settings: Settings) -> base_pb2.TransportSocket:
    """TLS ends here: with the mesh's certificates (ISTIO_MUTUAL), or with files of the gateway."""
    if tls.mode == "ISTIO_MUTUAL":
        return transport_sockets.inbound(settings.trust_domains)
    lowest, highest = tls.versions
    common = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(
            tls_minimum_protocol_version=_VERSIONS.get(lowest, common_pb2.TlsParameters.TLSv1_2),
            tls_maximum_protocol_version=_VERSIONS.get(highest, common_pb2.TlsParameters.TLSv1_3),
            cipher_suites=tls.ciphers,
        ),
        alpn_protocols=["h2", "http/1.1"] if server.is_http else [],
    )
    common.tls_certificates.add(
        certificate_chain=base_pb2.DataSource(filename=tls.certificate),
        private_key=base_pb2.DataSource(filename=tls.key),
    )
    context = tls_pb2.DownstreamTlsContext(common_tls_context=common)
    if tls.mode in {"MUTUAL", "OPTIONAL_MUTUAL"}:
        context.require_client_certificate.CopyFrom(wrappers_pb2.BoolValue(value=tls.mode == "MUTUAL"))
        validation = context.common_tls_context.validation_context
        validation.trusted_ca.filename = tls.ca or transport_sockets.SYSTEM_ROOTS
        for san in tls.sans:
            for kind in (common_pb2.SubjectAltNameMatcher.DNS, common_pb2.SubjectAltNameMatcher.URI):
                validation.match_typed_subject_alt_names.add(san_type=kind, matcher=string_pb2.StringMatcher(exact=san))
    return base_pb2.TransportSocket(name=transport_sockets.TLS, typed_config=pack(context))


def target_ports(ports: Mapping[int, int], number: int) -> int:
    """Where the pod listens for what its Service calls ``number``; itself when no Service leads here."""
    return ports.get(number, number)
