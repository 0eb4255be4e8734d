"""LDS, inbound: 0.0.0.0:15006 with the chains that each mTLS mode asks for (§3.5, F11). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.model.peer_authentications import InboundMtls, MtlsMode
from mesh_reference.model.protocols import Protocol
from mesh_reference.xds import access_logs, listener_filters, names, network_filters, transport_sockets
from mesh_reference.xds.authorization import NOTHING, Filters
from mesh_reference.xds.listener_filters import PLAIN_HTTP
from mesh_reference.xds.messages import NO_TIMEOUT, socket_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh_reference.settings import Settings

MTLS_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MTLS_TCP = ("istio-peer-exchange", "istio")
_Chain = listener_components_pb2.FilterChain


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPort:
    """A port of the application: where it listens, and the Service port that leads there."""

    target: int
    host: str
    number: int
    protocol: Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainMatch:
    """One chain of a port: which connections, read as HTTP or as bytes, and whether mutual TLS ends here."""

    http: bool
    mtls: bool = False
    transport: str = ""
    alpn: tuple[str, ...] = ()


def chain_matches(mode: MtlsMode, protocol: Protocol) -> tuple[ChainMatch, ...]:
    """The chains of a port. PERMISSIVE: HTTP 2, TCP 3, auto 5; STRICT: TLS only; DISABLE: never TLS."""
    if protocol.is_http:
        return {
            MtlsMode.STRICT: (ChainMatch(http=True, mtls=True, transport="tls"),),
            MtlsMode.DISABLE: (ChainMatch(http=True, transport="raw_buffer"),),
        }.get(
            mode,
            (
                ChainMatch(http=True, mtls=True, transport="tls", alpn=MTLS_TCP + MTLS_HTTP),
                ChainMatch(http=True, transport="raw_buffer"),
            ),
        )
    if protocol is Protocol.AUTO:
        return {
            MtlsMode.STRICT: (
                ChainMatch(http=True, mtls=True, transport="tls", alpn=MTLS_HTTP),
                ChainMatch(http=False, mtls=True, transport="tls"),
            ),
            MtlsMode.DISABLE: (
                ChainMatch(http=True, transport="raw_buffer", alpn=PLAIN_HTTP),
                ChainMatch(http=False, transport="raw_buffer"),
            ),
        }.get(
            mode,
            (
                ChainMatch(http=True, mtls=True, transport="tls", alpn=MTLS_HTTP),
                ChainMatch(http=True, transport="raw_buffer", alpn=PLAIN_HTTP),
                ChainMatch(http=False, mtls=True, transport="tls", alpn=MTLS_TCP),
                ChainMatch(http=False, transport="raw_buffer"),
                ChainMatch(http=False, transport="tls"),
            ),
        )
    return {
        MtlsMode.STRICT: (ChainMatch(http=False, mtls=True, transport="tls"),),
        MtlsMode.DISABLE: (ChainMatch(http=False, transport="raw_buffer"),),
    }.get(
        mode,
        (
            ChainMatch(http=False, mtls=True, transport="tls", alpn=MTLS_TCP + MTLS_HTTP),
            ChainMatch(http=False, transport="raw_buffer"),
            ChainMatch(http=False, transport="tls"),
        ),
    )


def virtual_inbound(
    ports: Iterable[InboundPort],
    mtls: InboundMtls,
    settings: Settings,
    first: Filters = NOTHING,
    *,
    transparent: bool = False,
) -> listener_pb2.Listener:
    """The one inbound listener. Ports of no Service pass through under the workload's mode, or their own.

    ``first``: filters that every connection and every request meets before all others. A ``transparent`` listener
    takes connections to any address and keeps their source (TPROXY mode).
    """
    ports = sorted(ports, key=lambda port: port.target)
    chains = [_black_hole()]
    known = {port.target for port in ports}
    chains += _passthrough(0, mtls.mode, settings, first)
    for number, mode in mtls.ports:
        if number not in known:
            chains += _passthrough(number, mode, settings, first)
    for port in ports:
        for match in chain_matches(mtls.for_port(port.target), port.protocol):
            chains.append(_port_chain(port, match, settings, first))
    addresses = [listener_filters.original_destination()]
    if transparent:
        addresses.append(listener_filters.original_source())
    return listener_pb2.Listener(
        name=names.VIRTUAL_INBOUND,
        address=socket_address(names.WILDCARD, names.INBOUND_PORT),
        traffic_direction=base_pb2.INBOUND,
        filter_chains=chains,
        listener_filters=[*addresses, *listener_filters.inspectors_for(chains)],
        transparent=wrappers_pb2.BoolValue(value=True) if transparent else None,
        listener_filters_timeout=NO_TIMEOUT,
        continue_on_listener_filters_timeout=True,
        access_log=access_logs.unmatched(settings.access_log_path),
        max_connections_to_accept_per_socket_event=wrappers_pb2.UInt32Value(value=1),
    )


def _black_hole() -> listener_components_pb2.FilterChain:
    """Connections to 15006 itself would come back for ever."""
    return _Chain(
        name=names.INBOUND_BLACK_HOLE,
        filter_chain_match=listener_components_pb2.FilterChainMatch(
            destination_port=wrappers_pb2.UInt32Value(value=names.INBOUND_PORT)
        ),
        filters=[network_filters.tcp_proxy(names.BLACK_HOLE, "")],
    )


def _passthrough(
    port: int, mode: MtlsMode, settings: Settings, first: Filters
) -> list[listener_components_pb2.FilterChain]:
    cluster, log = names.INBOUND_PASSTHROUGH, settings.access_log_path
    return [
        _chain(
            names.INBOUND_CATCH_ALL_HTTP if match.http else names.VIRTUAL_INBOUND,
            port,
            match,
            network_filters.inbound_http(
                cluster, port, names.operation("virtualInbound", port), cluster, log, retry=True, first=first.http
            )
            if match.http
            else network_filters.tcp_proxy(cluster, log),
            settings,
            first,
        )
        for match in chain_matches(mode, Protocol.AUTO)
    ]


def _port_chain(
    port: InboundPort, match: ChainMatch, settings: Settings, first: Filters
) -> listener_components_pb2.FilterChain:
    cluster, log = names.inbound_cluster(port.target), settings.access_log_path
    name = names.listener(names.WILDCARD, port.target)
    if match.http:
        last = network_filters.inbound_http(
            cluster,
            port.number,
            names.operation(port.host, port.number),
            f"inbound_{name}",
            log,
            retry=port.protocol not in {Protocol.GRPC, Protocol.GRPC_WEB},
            first=first.http,
        )
    else:
        last = network_filters.tcp_proxy(cluster, log)
    return _chain(name, port.target, match, last, settings, first)


def _chain(
    name: str,
    port: int,
    match: ChainMatch,
    last: listener_components_pb2.Filter,
    settings: Settings,
    first: Filters,
) -> listener_components_pb2.FilterChain:
    return _Chain(
        name=name,
        filter_chain_match=listener_components_pb2.FilterChainMatch(
            destination_port=wrappers_pb2.UInt32Value(value=port) if port else None,
            transport_protocol=match.transport,
            application_protocols=match.alpn,
        ),
        filters=[last] if match.http else [*first.network, last],
        transport_socket=transport_sockets.inbound(settings.trust_domains) if match.mtls else None,
    )
