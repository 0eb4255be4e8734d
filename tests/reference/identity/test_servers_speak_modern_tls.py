"""What a server of the mesh speaks: TLS 1.2 or 1.3, six ciphers, with a client's certificate of its trust domains (IST-TLS-MIN, IST-SRV-TD)."""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2

from mesh_reference.xds.transport_sockets import CIPHERS, inbound


def context(*trust_domains: str) -> tls_pb2.DownstreamTlsContext:
    found = tls_pb2.DownstreamTlsContext()
    assert inbound(trust_domains).typed_config.Unpack(found)
    return found


def test_nothing_before_tls_1_2_and_no_weak_cipher_is_spoken():
    spoken = context("cluster.local").common_tls_context.tls_params

    assert spoken.tls_minimum_protocol_version == common_pb2.TlsParameters.TLSv1_2
    assert spoken.tls_maximum_protocol_version == common_pb2.TlsParameters.TLSv1_3
    assert tuple(spoken.cipher_suites) == CIPHERS
    assert len(CIPHERS) == 6
    assert all("GCM" in one for one in CIPHERS)


def test_a_client_must_show_a_certificate_of_the_trust_domain_or_an_alias():
    wanted = context("cluster.local", "old.example")

    names = wanted.common_tls_context.combined_validation_context.default_validation_context
    prefixes = [one.matcher.prefix for one in names.match_typed_subject_alt_names]
    assert wanted.require_client_certificate.value
    assert prefixes == ["spiffe://cluster.local/", "spiffe://old.example/"]
