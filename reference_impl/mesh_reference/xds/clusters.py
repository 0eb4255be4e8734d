"""CDS: outbound clusters (one per Service port and subset), inbound clusters, and the fixed ones (§1.0). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2

from mesh_reference.model.protocols import Protocol
from mesh_reference.xds import cluster_policies, names, transport_sockets
from mesh_reference.xds.messages import ads_source, config_path, istio_metadata, socket_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh_reference.model.destination_rules import DestinationRule
    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.traffic_policies import ClientTls, ConnectionPool, TrafficPolicy
    from mesh_reference.settings import Settings


def outbound(
    service: Service,
    port: ServicePort,
    subset: str,
    rule: DestinationRule | None,
    policy: TrafficPolicy,
    sans: Sequence[str],
    settings: Settings,
    *,
    all_mutual: bool = False,
) -> cluster_pb2.Cluster:
    """The cluster ``outbound|port|subset|host``. ``sans`` are the identities its servers may have.

    A headless Service goes to the address that the client chose; there the socket cannot differ by endpoint, so it is
    mutual TLS only when ``all_mutual``: every endpoint announces it.
    """
    name = names.outbound_cluster(service.hostname, port.number, subset)
    out = cluster_pb2.Cluster(name=name)
    pool = policy.pool
    http2 = (port.protocol.is_http2 or bool(pool and pool.h2_upgrade)) and not (pool and pool.use_client_protocol)
    out.metadata.CopyFrom(_metadata(service, subset, rule))
    cluster_policies.apply_pool(out, pool, settings.connect_timeout, policy.retry_budget)
    cluster_policies.apply_http_options(
        out,
        pool,
        http2=http2,
        follow_client=port.protocol is Protocol.AUTO and not http2,
        auto_names=_auto_names(policy),
    )
    if service.headless or (policy.load_balancer and policy.load_balancer.simple == "PASSTHROUGH"):
        _make_original_destination(out)
    else:
        out.type = cluster_pb2.Cluster.EDS
        out.eds_cluster_config.service_name = name
        out.eds_cluster_config.eds_config.CopyFrom(ads_source())
        cluster_policies.apply_load_balancer(out, policy.load_balancer)
    cluster_policies.apply_outlier_detection(out, policy.outlier)
    sni = names.sni(service.hostname, port.number, subset)
    _apply_tls(out, policy.tls, sni, sans, http2=http2, auto=settings.auto_mtls, all_mutual=all_mutual)
    return out


def inbound(
    target_port: int, port: ServicePort | None, pool: ConnectionPool | None, settings: Settings
) -> cluster_pb2.Cluster:
    """``inbound|port||``: the application beside this sidecar. Of a DestinationRule only the pool applies (D18)."""
    out = cluster_pb2.Cluster(name=names.inbound_cluster(target_port))
    cluster_policies.apply_pool(out, pool, settings.connect_timeout, None)
    protocol = port.protocol if port else None
    http2 = bool(protocol and protocol.is_http2)
    cluster_policies.apply_http_options(out, pool, http2=http2, follow_client=protocol is Protocol.AUTO)
    _make_original_destination(out)
    _bind_source(out)
    return out


def fixed(settings: Settings) -> tuple[cluster_pb2.Cluster, ...]:
    """BlackHoleCluster, PassthroughCluster, InboundPassthroughCluster."""
    black_hole = cluster_pb2.Cluster(name=names.BLACK_HOLE, type=cluster_pb2.Cluster.STATIC)
    passthrough = cluster_pb2.Cluster(name=names.PASSTHROUGH)
    inbound_passthrough = cluster_pb2.Cluster(name=names.INBOUND_PASSTHROUGH)
    for cluster in (passthrough, inbound_passthrough):
        cluster_policies.apply_pool(cluster, None, settings.connect_timeout, None)
        cluster_policies.apply_http_options(cluster, None, http2=False, follow_client=True)
        _make_original_destination(cluster)
    _bind_source(inbound_passthrough)
    cluster_policies.apply_pool(black_hole, None, settings.connect_timeout, None)
    return black_hole, passthrough, inbound_passthrough


def _auto_names(policy: TrafficPolicy) -> cluster_policies.AutoNames | None:
    """D13: without an SNI of its own, TLS uses the request's host for SNI, and without SANs for the check, too."""
    tls = policy.tls
    if tls is None or tls.mode not in {"SIMPLE", "MUTUAL"} or tls.sni:
        return None
    return cluster_policies.AutoNames(verify=not tls.sans and not tls.skip_verify)


def _apply_tls(
    out: cluster_pb2.Cluster,
    tls: ClientTls | None,
    sni: str,
    sans: Sequence[str],
    *,
    http2: bool,
    auto: bool,
    all_mutual: bool,
) -> None:
    """D13: what the DestinationRule says; nothing said = mutual TLS with the endpoints that can."""
    original = out.type == cluster_pb2.Cluster.ORIGINAL_DST
    if tls is None:
        if not auto:
            return
        socket = transport_sockets.mesh_mutual(sni, sans, http2=http2)
        if not original:
            out.transport_socket_matches.extend(transport_sockets.auto_mutual(socket))
        elif all_mutual:
            out.transport_socket.CopyFrom(socket)
    elif tls.mode == "ISTIO_MUTUAL":
        out.transport_socket.CopyFrom(transport_sockets.mesh_mutual(tls.sni or sni, tls.sans or sans, http2=http2))
    elif tls.mode in {"SIMPLE", "MUTUAL"}:
        out.transport_socket.CopyFrom(transport_sockets.originate(tls, http2=http2))


def _make_original_destination(out: cluster_pb2.Cluster) -> None:
    out.type = cluster_pb2.Cluster.ORIGINAL_DST
    out.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED


def _bind_source(out: cluster_pb2.Cluster) -> None:
    source = socket_address(names.INBOUND_SOURCE, 0).socket_address
    out.upstream_bind_config.CopyFrom(address_pb2.BindConfig(source_address=source))


def _metadata(service: Service, subset: str, rule: DestinationRule | None) -> base_pb2.Metadata:
    fields = {
        "services": [{"host": service.hostname, "name": service.meta.name, "namespace": service.meta.namespace}],
        **({"config": config_path("destination-rule", rule.meta)} if rule else {}),
        **({"subset": subset} if subset else {}),
    }
    return istio_metadata(**fields)
