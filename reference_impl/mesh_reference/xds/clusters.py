"""CDS: outbound clusters (one per Service port and subset), inbound clusters, and the fixed ones (§1.0). Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2

from mesh_reference.model.protocols import Protocol
from mesh_reference.model.services import Resolution
from mesh_reference.xds import cluster_policies, localities, names, transport_sockets
from mesh_reference.xds.messages import ads_source, config_path, istio_metadata, seconds, socket_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envoy.config.endpoint.v3 import endpoint_pb2

    from mesh_reference.model.destination_rules import DestinationRule
    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.traffic_policies import ClientTls, ConnectionPool, TrafficPolicy
    from mesh_reference.settings import Settings


DNS_REFRESH_SECONDS = 60.0
"""Istio's dnsRefreshRate (§1.9); a record's own time to live comes first."""


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
    servers: endpoint_pb2.ClusterLoadAssignment | None = None,
) -> cluster_pb2.Cluster:
    """The cluster ``outbound|port|subset|host``. ``sans`` are the identities its servers may have.

    ``servers`` are those whose addresses Envoy asks DNS for (S1).

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
        auto_names=_auto_names(policy, service.sans),
    )
    if service.by_original_address or (policy.load_balancer and policy.load_balancer.simple == "PASSTHROUGH"):
        _make_original_destination(out)
    else:
        if service.resolution is Resolution.ENDPOINTS:
            out.type = cluster_pb2.Cluster.EDS
            out.eds_cluster_config.service_name = name
            out.eds_cluster_config.eds_config.CopyFrom(ads_source())
        else:
            _ask_dns(out, service, servers)
        cluster_policies.apply_load_balancer(out, policy.load_balancer)
        if localities.is_weighted(policy, service):
            out.common_lb_config.locality_weighted_lb_config.SetInParent()
    cluster_policies.apply_outlier_detection(out, policy.outlier)
    sni = names.sni(service.hostname, port.number, subset)
    auto = settings.auto_mtls and not service.external
    _apply_tls(
        out, policy.tls, sni, service.sans or sans, http2=http2, auto=auto, all_mutual=all_mutual, own=service.sans
    )
    if policy.proxy_protocol:
        transport_sockets.announce_client(out, policy.proxy_protocol)
    return out


def _ask_dns(out: cluster_pb2.Cluster, service: Service, servers: endpoint_pb2.ClusterLoadAssignment | None) -> None:
    """S1: DNS = every address it knows, DNS_ROUND_ROBIN = one for each new connection."""
    strict = service.resolution is Resolution.DNS
    out.type = cluster_pb2.Cluster.STRICT_DNS if strict else cluster_pb2.Cluster.LOGICAL_DNS
    out.dns_lookup_family = cluster_pb2.Cluster.V4_ONLY
    out.dns_refresh_rate.CopyFrom(seconds(DNS_REFRESH_SECONDS))
    out.respect_dns_ttl = True
    out.load_assignment.cluster_name = out.name
    if servers is not None:
        out.load_assignment.endpoints.extend(servers.endpoints)


def inbound(
    target_port: int, protocol: Protocol, pool: ConnectionPool | None, settings: Settings
) -> cluster_pb2.Cluster:
    """``inbound|port||``: the application beside this sidecar. Of a DestinationRule only the pool applies (D18)."""
    out = cluster_pb2.Cluster(name=names.inbound_cluster(target_port))
    cluster_policies.apply_pool(out, pool, settings.connect_timeout, None)
    cluster_policies.apply_http_options(out, pool, http2=protocol.is_http2, follow_client=protocol is Protocol.AUTO)
    _make_original_destination(out)
    _bind_source(out)
    return out


def lead_to(out: cluster_pb2.Cluster, endpoint: tuple[str, int] | None, socket: str) -> None:
    """Make an inbound cluster lead to this address or socket instead of the port that was called (S7)."""
    if endpoint is None and not socket:
        return
    out.type, out.lb_policy = cluster_pb2.Cluster.STATIC, cluster_pb2.Cluster.ROUND_ROBIN
    out.load_assignment.cluster_name = out.name
    address = out.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
    if endpoint is not None:
        address.CopyFrom(socket_address(*endpoint))
    else:
        out.ClearField("upstream_bind_config")
        address.pipe.path = socket


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


def _auto_names(policy: TrafficPolicy, service_sans: Sequence[str]) -> cluster_policies.AutoNames | None:
    """D13: without an SNI of its own, TLS uses the request's host for SNI, and without SANs for the check, too."""
    tls = policy.tls
    if tls is None or tls.mode not in {"SIMPLE", "MUTUAL"} or tls.sni:
        return None
    return cluster_policies.AutoNames(verify=not (tls.sans or service_sans) and not tls.skip_verify)


def _apply_tls(
    out: cluster_pb2.Cluster,
    tls: ClientTls | None,
    sni: str,
    sans: Sequence[str],
    *,
    http2: bool,
    auto: bool,
    all_mutual: bool,
    own: Sequence[str] = (),
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
        out.transport_socket.CopyFrom(
            transport_sockets.originate(replace(tls, sans=tls.sans or tuple(own)), http2=http2)
        )


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
