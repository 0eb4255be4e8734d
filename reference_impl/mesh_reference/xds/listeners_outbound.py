"""LDS, outbound: the virtual listener that takes everything and the listeners it hands connections on to (§1.0, §1.6). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.settings import OutboundPolicy
from mesh_reference.xds import access_logs, listener_filters, names, network_filters
from mesh_reference.xds.listener_filters import PLAIN_HTTP
from mesh_reference.xds.messages import NO_TIMEOUT, socket_address

if TYPE_CHECKING:
    from mesh_reference.settings import Settings

_Chain = listener_components_pb2.FilterChain
_Match = listener_components_pb2.FilterChainMatch


def virtual_outbound(settings: Settings) -> listener_pb2.Listener:
    """0.0.0.0:15001: hands each connection to the listener of its original destination, else to the catch-all (F6, F8)."""
    port = names.OUTBOUND_PORT
    out = _listener(names.VIRTUAL_OUTBOUND, names.WILDCARD, port, settings)
    out.ClearField("bind_to_port")
    out.use_original_dst.value = True
    black_hole = _Chain(
        name=names.OUTBOUND_BLACK_HOLE,
        filter_chain_match=_Match(destination_port=wrappers_pb2.UInt32Value(value=port)),
        filters=[network_filters.tcp_proxy(names.BLACK_HOLE, "")],
    )
    catch_all = _Chain(name=names.OUTBOUND_CATCH_ALL_TCP, filters=_unknown_destination(settings))
    out.filter_chains.extend([black_hole, catch_all])
    return out


def http(port: int, settings: Settings) -> listener_pb2.Listener:
    """``0.0.0.0_<port>``: HTTP for every Service of that port by route ``<port>``; other bytes pass through."""
    name = names.listener(names.WILDCARD, port)
    out = _listener(name, names.WILDCARD, port, settings)
    _add_sniffing(out, str(port), f"outbound_{name}", settings)
    out.default_filter_chain.CopyFrom(_Chain(name=names.PASSTHROUGH_CHAIN, filters=_unknown_destination(settings)))
    return out


def tcp(address: str, port: int, cluster: str, settings: Settings) -> listener_pb2.Listener:
    """``<VIP>_<port>``: bytes to the Service."""
    out = _listener(names.listener(address, port), address, port, settings)
    out.filter_chains.append(_Chain(filters=[network_filters.tcp_proxy(cluster, settings.access_log_path)]))
    return out


def detected(address: str, port: int, host: str, cluster: str, settings: Settings) -> listener_pb2.Listener:
    """``<VIP>_<port>`` of a port without a protocol: HTTP by route ``<fqdn>:<port>``, or bytes to the Service."""
    name = names.listener(address, port)
    out = _listener(name, address, port, settings)
    _add_sniffing(out, names.virtual_host(host, port), f"outbound_{name}", settings)
    out.default_filter_chain.CopyFrom(
        _Chain(name=names.PASSTHROUGH_CHAIN, filters=[network_filters.tcp_proxy(cluster, settings.access_log_path)])
    )
    return out


def _add_sniffing(out: listener_pb2.Listener, route: str, stat_prefix: str, settings: Settings) -> None:
    out.filter_chains.append(
        _Chain(
            filter_chain_match=_Match(transport_protocol="raw_buffer", application_protocols=PLAIN_HTTP),
            filters=[network_filters.outbound_http(route, stat_prefix, settings.access_log_path)],
        )
    )
    out.listener_filters.extend([listener_filters.tls_inspector(), listener_filters.http_inspector()])
    # 0 = wait for the first bytes as long as it takes (protocolDetectionTimeout).
    out.listener_filters_timeout.CopyFrom(NO_TIMEOUT)
    out.continue_on_listener_filters_timeout = True


def _unknown_destination(settings: Settings) -> list[listener_components_pb2.Filter]:
    allowed = settings.outbound_policy is OutboundPolicy.ALLOW_ANY
    cluster = names.PASSTHROUGH if allowed else names.BLACK_HOLE
    return [network_filters.tcp_proxy(cluster, settings.access_log_path)]


def _listener(name: str, address: str, port: int, settings: Settings) -> listener_pb2.Listener:
    return listener_pb2.Listener(
        name=name,
        address=socket_address(address, port),
        traffic_direction=base_pb2.OUTBOUND,
        bind_to_port=wrappers_pb2.BoolValue(value=False),
        access_log=access_logs.unmatched(settings.access_log_path),
        max_connections_to_accept_per_socket_event=wrappers_pb2.UInt32Value(value=1),
    )
