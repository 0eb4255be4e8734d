"""The last network filter of a chain: an HTTP connection manager or a TCP proxy, outbound and inbound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_components_pb2 as routes
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds import access_logs, names, retries, route_filters
from mesh_reference.xds.messages import NO_TIMEOUT, ads_source, pack, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

    from mesh_reference.xds.outbound_plans import ChainPlan

SERVER_NAME = "istio-envoy"
MAX_DIRECT_RESPONSE = 1024 * 1024
"""Bytes of a direct response's body (R6)."""
_HCM = hcm_pb2.HttpConnectionManager


def tcp_proxy(cluster: str, log_path: str, *, stat_prefix: str = "") -> listener_components_pb2.Filter:
    """All bytes to one cluster."""
    return _filter(
        "envoy.filters.network.tcp_proxy",
        tcp_proxy_pb2.TcpProxy(
            stat_prefix=stat_prefix or cluster, cluster=cluster, access_log=access_logs.text(log_path)
        ),
    )


def tcp_branches(chain: ChainPlan, log_path: str) -> listener_components_pb2.Filter:
    """Connections to the chain's clusters by weight (T5), through a tunnel where one is asked for (D16)."""
    out = tcp_proxy_pb2.TcpProxy(stat_prefix=chain.stat_prefix, access_log=access_logs.text(log_path))
    if len(chain.branches) == 1:
        out.cluster = chain.branches[0][0]
    else:
        for cluster, weight in chain.branches:
            out.weighted_clusters.clusters.add(name=cluster, weight=weight)
    if chain.idle is not None:
        out.idle_timeout.CopyFrom(seconds(chain.idle))
    if chain.by_source:
        out.hash_policy.add().source_ip.SetInParent()
    if chain.tunnel is not None:
        out.tunneling_config.hostname = chain.tunnel.target
        out.tunneling_config.use_post = chain.tunnel.method == "POST"
    return _filter("envoy.filters.network.tcp_proxy", out)


def outbound_http(route_name: str, stat_prefix: str, log_path: str) -> listener_components_pb2.Filter:
    """HTTP by the route configuration of that name, which comes over RDS."""
    manager = _manager(stat_prefix, log_path)
    # Callers see ``server: envoy``, as with Istio; gateways and servers' own proxies say istio-envoy.
    manager.server_name = ""
    manager.rds.CopyFrom(hcm_pb2.Rds(config_source=ads_source(), route_config_name=route_name))
    return _filter("envoy.filters.network.http_connection_manager", manager)


def gateway_http(
    route_name: str, stat_prefix: str, log_path: str, *, first: Iterable[hcm_pb2.HttpFilter] = ()
) -> listener_components_pb2.Filter:
    """HTTP from outside: the client's address is that of the connection, and nobody's word about itself is believed.

    ``first``: filters that a request meets before all others.
    """
    manager = _manager(stat_prefix, log_path, first)
    manager.use_remote_address.value = True
    manager.forward_client_cert_details = _HCM.SANITIZE_SET
    details = manager.set_current_client_cert_details
    details.subject.value = True
    details.cert = True
    details.dns = True
    details.uri = True
    manager.rds.CopyFrom(hcm_pb2.Rds(config_source=ads_source(), route_config_name=route_name))
    return _filter("envoy.filters.network.http_connection_manager", manager)


def inbound_http(
    cluster: str,
    port: int,
    operation: str,
    stat_prefix: str,
    log_path: str,
    *,
    retry: bool,
    first: Iterable[hcm_pb2.HttpFilter] = (),
) -> listener_components_pb2.Filter:
    """HTTP to the application; the caller's certificate is told to it in x-forwarded-client-cert.

    Envoy itself drops that header when the connection is not mutual TLS, so plaintext callers cannot forge it.
    ``first``: filters that a request meets before all others.
    """
    manager = _manager(stat_prefix, log_path, first)
    manager.forward_client_cert_details = _HCM.APPEND_FORWARD
    details = manager.set_current_client_cert_details
    details.subject.value = True
    details.dns = True
    details.uri = True
    action = routes.RouteAction(cluster=cluster, timeout=NO_TIMEOUT)
    action.max_stream_duration.max_stream_duration.CopyFrom(NO_TIMEOUT)
    action.max_stream_duration.grpc_timeout_header_max.CopyFrom(NO_TIMEOUT)
    if retry:
        action.retry_policy.CopyFrom(retries.inbound_policy())
    manager.route_config.CopyFrom(
        route_pb2.RouteConfiguration(
            name=cluster,
            virtual_hosts=[
                routes.VirtualHost(
                    name=f"inbound|http|{port}",
                    domains=["*"],
                    routes=[
                        routes.Route(
                            name=names.DEFAULT_ROUTE,
                            match=routes.RouteMatch(prefix="/"),
                            decorator=routes.Decorator(operation=operation),
                            route=action,
                        )
                    ],
                )
            ],
            validate_clusters=wrappers_pb2.BoolValue(value=False),
        )
    )
    return _filter("envoy.filters.network.http_connection_manager", manager)


def _manager(
    stat_prefix: str, log_path: str, first: Iterable[hcm_pb2.HttpFilter] = ()
) -> hcm_pb2.HttpConnectionManager:
    upgrade = _HCM.UpgradeConfig(upgrade_type="websocket")
    return _HCM(
        stat_prefix=stat_prefix,
        codec_type=_HCM.AUTO,
        server_name=SERVER_NAME,
        use_remote_address=wrappers_pb2.BoolValue(value=False),
        normalize_path=wrappers_pb2.BoolValue(value=True),
        path_with_escaped_slashes_action=_HCM.KEEP_UNCHANGED,
        stream_idle_timeout=NO_TIMEOUT,
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(),
        upgrade_configs=[upgrade],
        # Without a tracer behind it, it has the operation of a route told in x-envoy-decorator-operation.
        tracing=_HCM.Tracing(
            client_sampling=percent_pb2.Percent(value=100),
            random_sampling=percent_pb2.Percent(value=1),
            overall_sampling=percent_pb2.Percent(value=100),
        ),
        access_log=access_logs.text(log_path),
        http_filters=[
            *first,
            _http_filter(route_filters.FAULT_FILTER, fault_pb2.HTTPFault()),
            _http_filter(route_filters.CORS_FILTER, cors_pb2.Cors()),
            _http_filter("envoy.filters.http.router", router_pb2.Router()),
        ],
    )


def _http_filter(name: str, config: Message) -> hcm_pb2.HttpFilter:
    return hcm_pb2.HttpFilter(name=name, typed_config=pack(config))


def _filter(name: str, config: Message) -> listener_components_pb2.Filter:
    return listener_components_pb2.Filter(name=name, typed_config=pack(config))
