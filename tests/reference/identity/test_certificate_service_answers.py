"""CreateCertificate over real gRPC: who gets what, which status a refusal has, and what a hostile caller can do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.protobuf import struct_pb2

from mesh_reference.ca import authority, metrics, serving, succession
from mesh_reference.ca.authentication import AuthenticationError, Authenticator
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse
from mesh_reference.ca.rates import Rates

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
GOOD = (("authorization", "Bearer good"),)


@contextlib.asynccontextmanager
async def service(tokens, settings, signer=None, **options):
    signer = signer or authority.Authority.create("cluster.local", now=datetime.now(UTC))
    server = grpc.aio.server()
    serving.register(server, signer, Authenticator(tokens, settings, cache_seconds=0), **options)
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


def test_a_csr_of_an_unknown_version_is_an_invalid_argument(tokens, settings, make_csr):
    der = x509.load_pem_x509_csr(make_csr().encode()).public_bytes(serialization.Encoding.DER)
    odd = base64.encodebytes(der.replace(b"\x02\x01\x00", b"\x02\x01\x40", 1)).decode()
    csr = f"-----BEGIN CERTIFICATE REQUEST-----\n{odd}-----END CERTIFICATE REQUEST-----\n"
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


HOSTILE = {
    "ten thousand names": lambda: (
        (x509.SubjectAlternativeName([x509.DNSName(f"host-{n}.example") for n in range(10_000)]), False),
    ),
    "names with NUL and newline": lambda: (
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a\n\x00/sa/b")]), True),
    ),
    "a thousand extensions": lambda: tuple(
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{n}"), b"\x30\x00" * 9), True) for n in range(1000)
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_csr_is_refused_or_changes_nothing_and_the_next_one_is_answered(tokens, settings, make_csr, kind):
    async def run() -> None:
        async with service(tokens, settings) as running:
            request = IstioCertificateRequest(csr=make_csr(extensions=HOSTILE[kind]()))
            try:
                answer = await running.call(request, metadata=GOOD, timeout=5)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - both ends are lawful
            else:
                leaf = x509.load_pem_x509_certificate(answer.cert_chain[0].encode())
                names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                assert [name.value for name in names] == ["spiffe://cluster.local/ns/shop/sa/reviews"]
                assert len(leaf.extensions) == 5
            assert await running.call(IstioCertificateRequest(csr=make_csr()), metadata=GOOD, timeout=1)

    asyncio.run(run())


def test_a_workload_that_asks_without_end_is_slowed_down_and_others_are_not(tokens, settings, make_csr):
    user = {"extra": {"authentication.kubernetes.io/pod-uid": ["u2"]}, "groups": ["system:serviceaccounts"]}
    tokens.add("other", "", user={**user, "username": "system:serviceaccount:shop:ratings"})

    async def run() -> None:
        async with service(tokens, settings) as running:
            request = IstioCertificateRequest(csr=make_csr())
            codes = []
            for _ in range(60):
                try:
                    await running.call(request, metadata=GOOD, timeout=5)
                    codes.append(grpc.StatusCode.OK)
                except grpc.aio.AioRpcError as error:
                    codes.append(error.code())
            assert codes[:50] == [grpc.StatusCode.OK] * 50
            assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes[50:]
            assert await running.call(request, metadata=(("authorization", "Bearer other"),), timeout=1)

    asyncio.run(run())


def test_the_rate_is_the_operators_choice(tokens, settings, make_csr):
    async def run() -> None:
        strict = Rates(lambda: 0.0, per_second=1, burst=1)
        async with service(tokens, settings, rates=strict) as running:
            request = IstioCertificateRequest(csr=make_csr())
            assert await running.call(request, metadata=GOOD, timeout=5)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.call(request, metadata=GOOD, timeout=5)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    asyncio.run(run())


def test_the_answer_is_of_one_authority_even_while_it_is_succeeded(tokens, settings, make_csr, make_ca):
    now = datetime.now(UTC)
    first, second = (make_ca(name, now=now) for name in ("first", "second"))

    def of(ca) -> authority.Authority:
        both = [first.certificate, second.certificate]
        return authority.Authority(certificate=ca.certificate, key=ca.key, trust_domain="cluster.local", roots=both)

    async def run() -> None:
        live = succession.Succession(of(first))
        async with service(tokens, settings, live) as running:
            request = IstioCertificateRequest(csr=make_csr())
            calls = [asyncio.ensure_future(running.call(request, metadata=GOOD, timeout=5)) for _ in range(40)]
            for turn in range(40):
                await live.replace(of(first if turn % 2 else second))
                await asyncio.sleep(0)
            for answer in await asyncio.gather(*calls):
                leaf, bundle = answer.cert_chain
                root = x509.load_pem_x509_certificates(bundle.encode())
                leaf = x509.load_pem_x509_certificate(leaf.encode())
                leaf.verify_directly_issued_by(next(one for one in root if one.subject == leaf.issuer))

    asyncio.run(run())


def test_counters_tell_what_was_issued_and_refused(tokens, settings, make_csr):
    def count(name: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"citadel_server_{name}_total") or 0

    names = ("csr_count", "success_cert_issuance_count", "authentication_failure_count", "csr_parsing_err_count")
    before = [count(name) for name in names]
    ask(tokens, settings, IstioCertificateRequest(csr=make_csr()))
    refusal(tokens, settings, IstioCertificateRequest(csr=make_csr()), ())
    refusal(tokens, settings, IstioCertificateRequest(csr="nonsense"))
    assert [count(name) - old for name, old in zip(names, before, strict=True)] == [3, 1, 1, 1]


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
        with pytest.raises(AuthenticationError, match="not valid"):
            await authenticator.authenticate(GOOD)
        assert tokens.reviews == 2

    asyncio.run(run())
