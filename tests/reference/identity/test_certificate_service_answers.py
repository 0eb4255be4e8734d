"""CreateCertificate over real gRPC: who gets what, which status a refusal has, and what a hostile caller can do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import grpc
import pytest
from cryptography import x509
from google.protobuf import struct_pb2

from mesh_reference.ca import authority, serving
from mesh_reference.ca.authentication import Authenticator
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
GOOD = (("authorization", "Bearer good"),)


@contextlib.asynccontextmanager
async def service(tokens, settings, signer=None):
    signer = signer or authority.Authority.create("cluster.local", now=datetime.now(UTC))
    server = grpc.aio.server()
    serving.register(server, signer, Authenticator(tokens, settings, cache_seconds=0), settings)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(
                METHOD,
                request_serializer=IstioCertificateRequest.SerializeToString,
                response_deserializer=IstioCertificateResponse.FromString,
            )
            yield SimpleNamespace(call=call, signer=signer)
    finally:
        await server.stop(0)


def ask(tokens, settings, request, metadata=GOOD, signer=None):
    async def run():
        async with service(tokens, settings, signer) as running:
            answer = await running.call(request, metadata=metadata, timeout=5)
            return list(answer.cert_chain)

    return asyncio.run(run())


def refusal(tokens, settings, request, metadata=GOOD, signer=None) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        ask(tokens, settings, request, metadata, signer)
    return caught.value.code(), caught.value.details()


def struct(**fields: str) -> struct_pb2.Struct:
    value = struct_pb2.Struct()
    value.update(fields)
    return value


def test_the_chain_is_leaf_first_and_roots_last(tokens, settings, make_csr):
    chain = ask(tokens, settings, IstioCertificateRequest(csr=make_csr()))
    leaf, root = (x509.load_pem_x509_certificate(pem.encode()) for pem in chain)
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/shop/sa/reviews"]


def test_the_requested_seconds_are_the_lifetime(tokens, settings, make_csr):
    before = datetime.now(UTC)
    chain = ask(tokens, settings, IstioCertificateRequest(csr=make_csr(), validity_duration=600))
    leaf = x509.load_pem_x509_certificate(chain[0].encode())
    assert 598 <= (leaf.not_valid_after_utc - before).total_seconds() <= 602


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "good"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer forged"),),
        (("authorization", "Basic good"),),
        (*GOOD, ("clusterid", "elsewhere")),
    ],
    ids=["none", "no scheme", "empty", "forged", "basic", "foreign cluster"],
)
def test_whoever_is_not_known_is_unauthenticated_without_a_reason(tokens, settings, make_csr, metadata):
    request = IstioCertificateRequest(csr=make_csr())
    assert refusal(tokens, settings, request, metadata) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "request authenticate failure",
    )


def test_the_own_clusters_id_is_accepted(tokens, settings, make_csr):
    assert ask(tokens, settings, IstioCertificateRequest(csr=make_csr()), (*GOOD, ("clusterid", "Kubernetes")))


@pytest.mark.parametrize(
    ("username", "changes"),
    [
        ("system:serviceaccount:shop:reviews", {"audiences": ["api"]}),
        ("system:serviceaccount:shop:reviews", {"audiences": []}),
        ("system:serviceaccount:shop:reviews", {"authenticated": False, "error": "expired"}),
        ("kubernetes-admin", {}),
        ("system:node:one", {}),
        ("system:serviceaccount:shop", {}),
        ("system:serviceaccount::reviews", {}),
        ("system:serviceaccount:shop:reviews:more", {}),
        (
            "system:serviceaccount:shop:reviews",
            {"user": {"username": "system:serviceaccount:shop:reviews", "groups": ["system:authenticated"]}},
        ),
    ],
)
def test_a_token_that_is_no_service_accounts_for_the_ca_is_refused(tokens, settings, make_csr, username, changes):
    tokens.add("odd", username, **changes)
    request = IstioCertificateRequest(csr=make_csr())
    code, text = refusal(tokens, settings, request, (("authorization", "Bearer odd"),))
    assert (code, text) == (grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")


def test_impersonation_is_refused_with_its_own_text(tokens, settings, make_csr):
    wishes = struct(ImpersonatedIdentity="spiffe://cluster.local/ns/shop/sa/admin")
    assert refusal(tokens, settings, IstioCertificateRequest(csr=make_csr(), metadata=wishes)) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "request impersonation authentication failure",
    )
    assert ask(tokens, settings, IstioCertificateRequest(csr=make_csr(), metadata=struct(WorkloadName="reviews")))


def test_a_foreign_signer_is_refused_loudly(tokens, settings, make_csr):
    code, text = refusal(tokens, settings, IstioCertificateRequest(csr=make_csr(), metadata=struct(CertSigner="other")))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "CertSigner" in text


@pytest.mark.parametrize("csr", ["", "nonsense", "x" * 100_000], ids=["empty", "nonsense", "huge"])
def test_a_bad_csr_is_an_invalid_argument(tokens, settings, csr):
    assert refusal(tokens, settings, IstioCertificateRequest(csr=csr))[0] is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("seconds", [90 * 86400 + 1, 2**63 - 1])
def test_a_lifetime_beyond_the_maximum_is_an_invalid_argument(tokens, settings, make_csr, seconds):
    request = IstioCertificateRequest(csr=make_csr(), validity_duration=seconds)
    assert refusal(tokens, settings, request)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_negative_lifetime_means_the_default(tokens, settings, make_csr):
    assert ask(tokens, settings, IstioCertificateRequest(csr=make_csr(), validity_duration=-(2**63)))


def test_an_expired_signer_is_an_internal_error(tokens, settings, make_csr, now):
    expired = authority.Authority.create("cluster.local", now=now.replace(year=2000))
    code, text = refusal(tokens, settings, IstioCertificateRequest(csr=make_csr()), signer=expired)
    assert code is grpc.StatusCode.INTERNAL
    assert "expired" in text


def test_a_hostile_caller_does_not_stop_the_next_one(tokens, settings, make_csr):
    async def run() -> None:
        async with service(tokens, settings) as running:
            for csr in ("x" * 10_000_000, "-----BEGIN CERTIFICATE REQUEST-----\n" * 1000):
                with pytest.raises(grpc.aio.AioRpcError):
                    await running.call(IstioCertificateRequest(csr=csr), metadata=GOOD, timeout=5)
            assert await running.call(IstioCertificateRequest(csr=make_csr()), metadata=GOOD, timeout=1)

    asyncio.run(run())


def test_every_decision_leaves_a_line_without_token_or_key(tokens, settings, make_csr, caplog):
    tokens.add("very-secret-token", "system:serviceaccount:shop:reviews")
    with caplog.at_level(logging.INFO, logger=serving.audit.name):
        request = IstioCertificateRequest(csr=make_csr())
        ask(tokens, settings, request, (("authorization", "Bearer very-secret-token"),))
        refusal(tokens, settings, request, (("authorization", "Bearer very-secret-forgery"),))
    signed, refused = (record.getMessage() for record in caplog.records if record.name == serving.audit.name)
    assert "spiffe://cluster.local/ns/shop/sa/reviews" in signed
    assert "pod-1" in signed
    assert "unknown token" in refused
    assert "very-secret" not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_an_accepted_token_is_remembered_for_the_given_time_only(tokens, settings):
    clock = [0.0]
    authenticator = Authenticator(tokens, settings, cache_seconds=1.0, clock=lambda: clock[0])

    async def run() -> None:
        await authenticator.authenticate(GOOD)
        clock[0] = 0.9
        await authenticator.authenticate(GOOD)
        assert tokens.reviews == 1
        clock[0] = 1.1
        tokens.status.clear()  # its pod is gone
        with pytest.raises(Exception, match="not valid"):
            await authenticator.authenticate(GOOD)
        assert tokens.reviews == 2

    asyncio.run(run())
