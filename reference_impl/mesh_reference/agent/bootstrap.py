"""Envoy's bootstrap: who this proxy is, where its configuration and secrets come from, and its own two listeners.

Pure: settings in, one JSON object out. It deliberately holds no listener,
cluster or route of the application's traffic: those come from istiod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh_reference import __version__

if TYPE_CHECKING:
    from mesh_reference.agent.environment import AgentSettings

Json = dict[str, Any]

ADMIN_PORT = 15000
PROMETHEUS_PORT = 15090
READINESS_PORT = 15021
LOCALITY_LABEL = "istio-locality"
"""Pod label ``region.zone.subzone``; without it istiod reads the node's labels."""
_HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_CONNECTION_LIMIT = (
    "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
)
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def bootstrap(settings: AgentSettings) -> Json:
    """Give the whole bootstrap."""
    ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {
        "node": node(settings),
        "admin": {"address": _socket("127.0.0.1", ADMIN_PORT), "profile_path": "/dev/null"},
        # Every statistic stays: the counters are how a test sees where traffic went.
        "stats_config": {"use_all_default_tags": True},
        "layered_runtime": {
            "layers": [
                {"name": "static", "static_layer": {"re2.max_program_size.error_level": 32768}},
                {"name": "admin", "admin_layer": {}},
            ]
        },
        # Stated only because Envoy warns of its absence in every log.
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {"@type": _CONNECTION_LIMIT, "max_active_downstream_connections": 2**31 - 1},
                }
            ]
        },
        "dynamic_resources": {
            "lds_config": ads,
            "cds_config": ads,
            "ads_config": {
                "api_type": "DELTA_GRPC" if settings.delta_xds else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {
            "clusters": [
                _grpc_cluster("xds-grpc", str(settings.paths.xds_socket)),
                _grpc_cluster("sds-grpc", str(settings.paths.sds_socket)),
                _loopback_cluster("prometheus_stats", ADMIN_PORT),
                _loopback_cluster("agent", settings.status_port),
            ],
            "listeners": [
                _http_listener("prometheus", PROMETHEUS_PORT, "stats", "/stats/prometheus", "prometheus_stats"),
                _http_listener("readiness", READINESS_PORT, "agent", "/healthz/ready", "agent"),
            ],
        },
    }


def node(settings: AgentSettings) -> Json:
    """Give the node: id ``role~IP~pod.namespace~namespace.svc.domain`` and the metadata istiod builds from."""
    workload = str(settings.metadata.get("WORKLOAD_NAME") or settings.labels.get("app") or settings.pod_name)
    dns_domain = f"{settings.namespace}.svc.{settings.domain}"
    result: Json = {
        "id": f"{settings.role}~{settings.address}~{settings.pod_name}.{settings.namespace}~{dns_domain}",
        "cluster": f"{settings.labels.get('service.istio.io/canonical-name') or workload}.{settings.namespace}",
        "metadata": {
            **settings.metadata,
            "NAME": settings.pod_name,
            "NAMESPACE": settings.namespace,
            "INSTANCE_IPS": settings.address,
            "SERVICE_ACCOUNT": settings.service_account,
            "WORKLOAD_NAME": workload,
            "CLUSTER_ID": settings.cluster_id,
            "ISTIO_VERSION": __version__,
            "INTERCEPTION_MODE": settings.metadata.get("INTERCEPTION_MODE") or "REDIRECT",
            "LABELS": dict(settings.labels),
            "ANNOTATIONS": dict(settings.annotations),
            "PROXY_CONFIG": dict(settings.proxy_config),
            "ENVOY_PROMETHEUS_PORT": PROMETHEUS_PORT,
            "ENVOY_STATUS_PORT": READINESS_PORT,
        },
    }
    if parts := settings.labels.get(LOCALITY_LABEL, ""):
        # A node's region may hold dots no more than its zone may: the label's syntax has no slash to use.
        result["locality"] = dict(zip(("region", "zone", "sub_zone"), parts.split(".", 2), strict=False))
    return result


def _socket(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _grpc_cluster(name: str, socket_path: str) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            _HTTP2: {
                "@type": f"type.googleapis.com/{_HTTP2}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": _assignment(name, {"pipe": {"path": socket_path}}),
    }


def _loopback_cluster(name: str, port: int) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": _assignment(name, _socket("127.0.0.1", port)),
    }


def _assignment(name: str, address: Json) -> Json:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _http_listener(name: str, port: int, stat_prefix: str, path: str, cluster: str) -> Json:
    route = {"match": {"prefix": path}, "route": {"cluster": cluster}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {"name": name, "address": _socket("0.0.0.0", port), "filter_chains": [{"filters": filters}]}
