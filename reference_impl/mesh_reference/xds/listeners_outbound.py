"""LDS, outbound: the virtual listener that takes everything and the listeners it hands connections on to (§1.0, §1.6). Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds import access_logs, listener_filters, names, network_filters
from mesh_reference.xds.listener_filters import PLAIN_HTTP
from mesh_reference.xds.messages import NO_TIMEOUT, socket_address

if TYPE_CHECKING:
    from mesh_reference.settings import OutboundPolicy, Settings
    from mesh_reference.xds.outbound_plans import ChainPlan, ListenerPlan

_Chain = listener_components_pb2.FilterChain
_Match = listener_components_pb2.FilterChainMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """What happens to destinations that the mesh does not know (F6-F8, S8): the cluster that takes them."""

    policy: OutboundPolicy
    cluster: str


def virtual_outbound(settings: Settings, unknown: Unknown) -> listener_pb2.Listener:
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
    catch_all = _Chain(name=names.OUTBOUND_CATCH_ALL_TCP, filters=_unknown_destination(settings, unknown))
    out.filter_chains.extend([black_hole, catch_all])
    return out


def planned(plan: ListenerPlan, settings: Settings, unknown: Unknown) -> listener_pb2.Listener:
    """The listener of a plan: HTTP by its route configuration, SNI and subnets by their chains, then all the rest."""
    out = _listener(plan.name, plan.address, plan.port, settings)
    rest = next((chain for chain in plan.chains if not chain.sni and not chain.subnets), None)
    for chain in plan.chains:
        if chain is not rest:
            out.filter_chains.append(
                _Chain(
                    filter_chain_match=_Match(
                        server_names=chain.sni, prefix_ranges=[_range(subnet) for subnet in chain.subnets]
                    ),
                    filters=[_to_clusters(chain, settings)],
                )
            )
    if plan.route:
        _add_http(out, plan, settings)
    if plan.route or any(chain.sni for chain in plan.chains):
        out.listener_filters.append(listener_filters.tls_inspector())
        if plan.route:
            out.listener_filters.append(listener_filters.http_inspector())
        # 0 = wait for the first bytes as long as it takes (protocolDetectionTimeout).
        out.listener_filters_timeout.CopyFrom(NO_TIMEOUT)
        out.continue_on_listener_filters_timeout = True
    if rest is not None and not plan.route:
        out.filter_chains.append(_Chain(filters=[_to_clusters(rest, settings)]))
    elif rest is not None:
        default = [_to_clusters(rest, settings)]
        out.default_filter_chain.CopyFrom(_Chain(name=names.PASSTHROUGH_CHAIN, filters=default))
    elif plan.address == names.WILDCARD:
        default = _unknown_destination(settings, unknown)
        out.default_filter_chain.CopyFrom(_Chain(name=names.PASSTHROUGH_CHAIN, filters=default))
    return out


def _add_http(out: listener_pb2.Listener, plan: ListenerPlan, settings: Settings) -> None:
    http = network_filters.outbound_http(plan.route, f"outbound_{plan.name}", settings.access_log_path)
    match = _Match(transport_protocol="raw_buffer", application_protocols=PLAIN_HTTP)
    out.filter_chains.append(_Chain(filter_chain_match=match, filters=[http]))


def _to_clusters(chain: ChainPlan, settings: Settings) -> listener_components_pb2.Filter:
    return network_filters.tcp_branches(chain, settings.access_log_path)


def _range(subnet: str) -> address_pb2.CidrRange:
    network = ipaddress.ip_network(subnet, strict=False)
    return address_pb2.CidrRange(
        address_prefix=str(network.network_address), prefix_len=wrappers_pb2.UInt32Value(value=network.prefixlen)
    )


def _unknown_destination(settings: Settings, unknown: Unknown) -> list[listener_components_pb2.Filter]:
    return [network_filters.tcp_proxy(unknown.cluster, settings.access_log_path)]


def _listener(name: str, address: str, port: int, settings: Settings) -> listener_pb2.Listener:
    return listener_pb2.Listener(
        name=name,
        address=socket_address(address, port),
        traffic_direction=base_pb2.OUTBOUND,
        bind_to_port=wrappers_pb2.BoolValue(value=False),
        access_log=access_logs.unmatched(settings.access_log_path),
        max_connections_to_accept_per_socket_event=wrappers_pb2.UInt32Value(value=1),
    )
