"""TLS on both sides: what a client offers (auto-mTLS, DestinationRule tls) and what an inbound chain demands (§3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, config_source_pb2, grpc_service_pb2, proxy_protocol_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from mesh_reference.xds import names
from mesh_reference.xds.messages import NO_TIMEOUT, pack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh_reference.model.traffic_policies import ClientTls

TLS = "envoy.transport_sockets.tls"
MTLS_ALPN = "istio"
"""What a sidecar offers to another sidecar: the server's filter chains look for it."""
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
"""What a server of the mesh speaks in TLS 1.2 (IST-TLS-MIN)."""


def secret(name: str) -> secret_pb2.SdsSecretConfig:
    """A secret of the proxy's own agent."""
    return secret_pb2.SdsSecretConfig(
        name=name,
        sds_config=config_source_pb2.ConfigSource(
            api_config_source=config_source_pb2.ApiConfigSource(
                api_type=config_source_pb2.ApiConfigSource.GRPC,
                transport_api_version=config_source_pb2.ApiVersion.V3,
                set_node_on_first_message_only=True,
                grpc_services=[
                    grpc_service_pb2.GrpcService(
                        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=names.SDS_CLUSTER)
                    )
                ],
            ),
            initial_fetch_timeout=NO_TIMEOUT,
            resource_api_version=config_source_pb2.ApiVersion.V3,
        ),
    )


def inbound(trust_domains: Iterable[str]) -> base_pb2.TransportSocket:
    """Mutual TLS as a server: the caller must show a certificate of one of these trust domains, by the mesh's root."""
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=_mesh_context(
            ["h2", "http/1.1"],
            common_pb2.CertificateValidationContext(
                match_typed_subject_alt_names=[
                    _uri(string_pb2.StringMatcher(prefix=f"spiffe://{trust_domain}/")) for trust_domain in trust_domains
                ]
            ),
        ),
        require_client_certificate=wrappers_pb2.BoolValue(value=True),
    )
    context.common_tls_context.tls_params.cipher_suites.extend(CIPHERS)
    return base_pb2.TransportSocket(name=TLS, typed_config=pack(context))


def mesh_mutual(sni: str, sans: Iterable[str], *, http2: bool) -> base_pb2.TransportSocket:
    """Mutual TLS as a client: the server must be one of ``sans`` exactly; with none known any of the mesh will do."""
    context = tls_pb2.UpstreamTlsContext(
        common_tls_context=_mesh_context(
            [MTLS_ALPN, "h2"] if http2 else [MTLS_ALPN],
            common_pb2.CertificateValidationContext(
                match_typed_subject_alt_names=[_uri(string_pb2.StringMatcher(exact=san)) for san in sans]
            ),
        ),
        sni=sni,
    )
    return base_pb2.TransportSocket(name=TLS, typed_config=pack(context))


def auto_mutual(socket: base_pb2.TransportSocket) -> list[cluster_pb2.Cluster.TransportSocketMatch]:
    """Mutual TLS to the endpoints that announce it, plaintext to all others."""
    wanted = struct_pb2.Struct()
    wanted.update({"tlsMode": "istio"})
    return [
        cluster_pb2.Cluster.TransportSocketMatch(name="tlsMode-istio", match=wanted, transport_socket=socket),
        cluster_pb2.Cluster.TransportSocketMatch(
            name="tlsMode-disabled",
            match=struct_pb2.Struct(),
            transport_socket=_raw(),
        ),
    ]


def originate(tls: ClientTls, *, http2: bool) -> base_pb2.TransportSocket:
    """SIMPLE and MUTUAL (D13): ordinary TLS to a server outside the mesh's identities, with files of the proxy's Pod."""
    common = tls_pb2.CommonTlsContext(tls_params=_versions(), alpn_protocols=["h2"] if http2 else [])
    if tls.mode == "MUTUAL":
        common.tls_certificates.add(
            certificate_chain=base_pb2.DataSource(filename=tls.certificate),
            private_key=base_pb2.DataSource(filename=tls.key),
        )
    if not tls.skip_verify:
        common.validation_context.CopyFrom(
            common_pb2.CertificateValidationContext(
                trusted_ca=base_pb2.DataSource(filename=tls.ca or SYSTEM_ROOTS),
                match_typed_subject_alt_names=[
                    common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=san))
                    for san in tls.sans
                    for kind in (common_pb2.SubjectAltNameMatcher.DNS, common_pb2.SubjectAltNameMatcher.URI)
                ],
            )
        )
    return base_pb2.TransportSocket(
        name=TLS, typed_config=pack(tls_pb2.UpstreamTlsContext(common_tls_context=common, sni=tls.sni))
    )


def announce_client(out: cluster_pb2.Cluster, version: int) -> None:
    """D16: every connection begins with a PROXY header that names the client, whatever follows."""

    def wrapped(inner: base_pb2.TransportSocket) -> base_pb2.TransportSocket:
        config = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(transport_socket=inner)
        config.config.version = (
            proxy_protocol_pb2.ProxyProtocolConfig.V2 if version == 2 else proxy_protocol_pb2.ProxyProtocolConfig.V1
        )
        return base_pb2.TransportSocket(
            name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=pack(config)
        )

    for match in out.transport_socket_matches:
        match.transport_socket.CopyFrom(wrapped(match.transport_socket))
    if not out.transport_socket_matches:
        own = out.transport_socket if out.HasField("transport_socket") else _raw()
        out.transport_socket.CopyFrom(wrapped(own))


def _raw() -> base_pb2.TransportSocket:
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=pack(raw_buffer_pb2.RawBuffer())
    )


def _mesh_context(alpn: list[str], validation: common_pb2.CertificateValidationContext) -> tls_pb2.CommonTlsContext:
    return tls_pb2.CommonTlsContext(
        tls_params=_versions(),
        alpn_protocols=alpn,
        tls_certificate_sds_secret_configs=[secret(names.WORKLOAD_SECRET)],
        combined_validation_context=tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=validation,
            validation_context_sds_secret_config=secret(names.ROOT_SECRET),
        ),
    )


def _versions() -> common_pb2.TlsParameters:
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
        tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
    )


def _uri(matcher: string_pb2.StringMatcher) -> common_pb2.SubjectAltNameMatcher:
    return common_pb2.SubjectAltNameMatcher(san_type=common_pb2.SubjectAltNameMatcher.URI, matcher=matcher)
