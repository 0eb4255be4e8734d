"""DestinationRule blocks on an Envoy cluster: connection pool, load balancer, outlier detection (D2-D5, D9-D12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds.messages import maybe_seconds, pack, seconds

if TYPE_CHECKING:
    from mesh_reference.model.traffic_policies import ConnectionPool, LoadBalancer, OutlierDetection

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
UNLIMITED = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoNames:
    """TLS that takes its SNI from the request; ``verify``: the server's certificate must be for that name."""

    verify: bool


_SIMPLE = {
    "LEAST_REQUEST": cluster_pb2.Cluster.LEAST_REQUEST,
    "ROUND_ROBIN": cluster_pb2.Cluster.ROUND_ROBIN,
    "RANDOM": cluster_pb2.Cluster.RANDOM,
}


def apply_pool(
    out: cluster_pb2.Cluster, pool: ConnectionPool | None, connect_timeout: float, budget: tuple[float, int] | None
) -> None:
    """D9-D11: limits are Envoy's circuit breakers, and unset ones are unlimited (F9)."""
    limit = wrappers_pb2.UInt32Value
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=limit(value=(pool and pool.max_connections) or UNLIMITED),
        max_pending_requests=limit(value=(pool and pool.max_pending) or UNLIMITED),
        max_requests=limit(value=(pool and pool.max_requests) or UNLIMITED),
        max_retries=limit(value=(pool and pool.max_retries) or UNLIMITED),
        track_remaining=True,
    )
    if budget is not None:
        percent, concurrency = budget
        thresholds.retry_budget.budget_percent.value = percent
        thresholds.retry_budget.min_retry_concurrency.value = concurrency
    out.circuit_breakers.thresholds.append(thresholds)
    wanted = pool.connect_timeout if pool and pool.connect_timeout is not None else connect_timeout
    out.connect_timeout.CopyFrom(seconds(wanted))
    if pool and pool.keepalive is not None:
        out.upstream_connection_options.tcp_keepalive.CopyFrom(_keepalive(pool.keepalive))


def apply_http_options(
    out: cluster_pb2.Cluster,
    pool: ConnectionPool | None,
    *,
    http2: bool,
    follow_client: bool,
    auto_names: AutoNames | None = None,
) -> None:
    """The protocol to the server (HTTP/1.1, HTTP/2, or the client's own) and the pool's per-connection settings (D10)."""
    options = http_protocol_options_pb2.HttpProtocolOptions()
    if pool is not None:
        _set_common(options, pool)
    if auto_names is not None:
        options.upstream_http_protocol_options.auto_sni = True
        options.upstream_http_protocol_options.auto_san_validation = auto_names.verify
    if follow_client or (pool and pool.use_client_protocol):
        options.use_downstream_protocol_config.http2_protocol_options.CopyFrom(protocol_pb2.Http2ProtocolOptions())
        options.use_downstream_protocol_config.http_protocol_options.CopyFrom(protocol_pb2.Http1ProtocolOptions())
    elif http2:
        options.explicit_http_config.http2_protocol_options.CopyFrom(_http2(pool))
    elif options.HasField("common_http_protocol_options") or auto_names is not None:
        options.explicit_http_config.http_protocol_options.CopyFrom(protocol_pb2.Http1ProtocolOptions())
    else:
        return
    out.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))


def _set_common(options: http_protocol_options_pb2.HttpProtocolOptions, pool: ConnectionPool) -> None:
    if pool.idle_timeout is not None:
        options.common_http_protocol_options.idle_timeout.CopyFrom(seconds(pool.idle_timeout))
    if pool.max_requests_per_connection:
        options.common_http_protocol_options.max_requests_per_connection.value = pool.max_requests_per_connection
    if pool.max_connection_duration is not None:
        options.common_http_protocol_options.max_connection_duration.CopyFrom(seconds(pool.max_connection_duration))


def _http2(pool: ConnectionPool | None) -> protocol_pb2.Http2ProtocolOptions:
    settings = protocol_pb2.Http2ProtocolOptions()
    if pool and pool.max_concurrent_streams:
        settings.max_concurrent_streams.value = pool.max_concurrent_streams
    if pool and pool.http2_keepalive is not None:
        interval, timeout = pool.http2_keepalive
        settings.connection_keepalive.CopyFrom(
            protocol_pb2.KeepaliveSettings(interval=maybe_seconds(interval), timeout=maybe_seconds(timeout))
        )
    return settings


def apply_load_balancer(out: cluster_pb2.Cluster, balancer: LoadBalancer | None) -> None:
    """D2-D5. PASSTHROUGH is the caller's business: it changes the kind of cluster."""
    simple = balancer.simple if balancer else "LEAST_REQUEST"
    out.lb_policy = _SIMPLE.get(simple, cluster_pb2.Cluster.LEAST_REQUEST)
    if balancer is None:
        return
    if balancer.hash is not None:
        hashing = balancer.hash
        if hashing.maglev is not None:
            out.lb_policy = cluster_pb2.Cluster.MAGLEV
            if hashing.maglev:
                out.maglev_lb_config.table_size.value = hashing.maglev
        else:
            out.lb_policy = cluster_pb2.Cluster.RING_HASH
            if hashing.ring:
                out.ring_hash_lb_config.minimum_ring_size.value = hashing.ring
    elif balancer.warmup is not None and simple in {"LEAST_REQUEST", "ROUND_ROBIN"}:
        window, minimum, aggression = balancer.warmup
        slow_start = cluster_pb2.Cluster.SlowStartConfig(
            slow_start_window=seconds(window),
            aggression=base_pb2.RuntimeDouble(default_value=aggression, runtime_key="("),
            min_weight_percent=percent_pb2.Percent(value=minimum),
        )
        if simple == "ROUND_ROBIN":
            out.round_robin_lb_config.slow_start_config.CopyFrom(slow_start)
        else:
            out.least_request_lb_config.slow_start_config.CopyFrom(slow_start)


def apply_outlier_detection(out: cluster_pb2.Cluster, outlier: OutlierDetection | None) -> None:
    """D12: an explicit 0 turns a detector off; success rate never counts; panic threshold = minHealthPercent."""
    if outlier is None:
        return
    made = outlier_detection_pb2.OutlierDetection()
    made.enforcing_success_rate.value = 0
    if outlier.consecutive_5xx is not None:
        made.consecutive_5xx.value = outlier.consecutive_5xx
        made.enforcing_consecutive_5xx.value = 100 if outlier.consecutive_5xx else 0
    if outlier.consecutive_gateway is not None:
        made.consecutive_gateway_failure.value = outlier.consecutive_gateway
        made.enforcing_consecutive_gateway_failure.value = 100 if outlier.consecutive_gateway else 0
    if outlier.interval is not None:
        made.interval.CopyFrom(seconds(outlier.interval))
    if outlier.base_ejection is not None:
        made.base_ejection_time.CopyFrom(seconds(outlier.base_ejection))
    if outlier.max_ejection_percent:
        made.max_ejection_percent.value = outlier.max_ejection_percent
    if outlier.split_local:
        made.split_external_local_origin_errors = True
        if outlier.consecutive_local:
            made.consecutive_local_origin_failure.value = outlier.consecutive_local
            made.enforcing_consecutive_local_origin_failure.value = 100
        made.enforcing_local_origin_success_rate.value = 0
    out.outlier_detection.CopyFrom(made)
    out.common_lb_config.healthy_panic_threshold.value = outlier.min_health_percent


def _keepalive(settings: tuple[int, float | None, float | None]) -> address_pb2.TcpKeepalive:
    probes, idle, interval = settings
    value = wrappers_pb2.UInt32Value
    return address_pb2.TcpKeepalive(
        keepalive_probes=value(value=probes) if probes else None,
        keepalive_time=value(value=int(idle)) if idle else None,
        keepalive_interval=value(value=int(interval)) if interval else None,
    )
