"""What the mesh's certificate service signs, and for whom: each refusal beside a request that is answered."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh_conformance.identity.signing_office import Key, Office, new_key, opened, request
from mesh_conformance.identity.wire import identity_of, published_roots
from pytest_mesh.identity.csr_client import Answer
from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.paths import check_chain
from pytest_mesh.identity.x509_svid import check_leaf, uri_sans
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.namespace import MeshNamespace

ACCOUNT = "tester"
REFUSED = ("INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
"""Codes by which a service tells a caller that asking again will not help."""
LONGEST = timedelta(days=90)
BACKDATING = timedelta(minutes=10)
AFTER_HOSTILE_SECONDS = 1.0
HOSTILE_TURNS = 3
"""A busy machine is slow once; what a hostile request holds up, it holds up each time."""
GONE_SECONDS = 15.0
"""kube-apiserver remembers for ten seconds that a token was good, so that no TokenReview says otherwise sooner."""
POLL_SECONDS = 0.25
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


@pytest.fixture
def office(bank: MeshNamespace) -> Iterator[Office]:
    """The service that the tester's proxy asks."""
    with opened(bank, ACCOUNT) as found:
        yield found


@pytest.mark.mesh_feature("CsrNamesIgnored")
def test_a_request_is_signed_for_its_caller_whatever_it_names(bank: MeshNamespace, office: Office) -> None:
    token, own = office.token(ACCOUNT), identity_of(bank, ACCOUNT)
    plain = _leaf(office.ask(request(new_key()), token=token), "a request that names nobody")
    assert uri_sans(plain) == [own], f"a request that names nobody got {uri_sans(plain)}, expected {own}"
    foreign = identity_of(bank, "vault")
    wishes: dict[str, bytes] = {
        "another account": request(new_key(), [x509.UniformResourceIdentifier(foreign)]),
        "itself and another": request(new_key(), [x509.UniformResourceIdentifier(one) for one in (own, foreign)]),
        "a DNS name": request(new_key(), [x509.DNSName("istiod.istio-system.svc")]),
        "an address": request(new_key(), [x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]),
        "an e-mail address": request(new_key(), [x509.RFC822Name("a@b.example")]),
        "to be an authority": request(
            new_key(), extensions=[(x509.BasicConstraints(ca=True, path_length=None), True), (_signing_usage(), True)]
        ),
        "to sign code": request(
            new_key(), extensions=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)]
        ),
        "an extension that nobody knows": request(new_key(), extensions=[(UNKNOWN, False)]),
    }
    met = {}
    for wish, csr in wishes.items():
        answer = office.ask(csr, token=token)
        if not answer.issued:
            assert answer.code in REFUSED, f"a request for {wish} ended with {answer.code}: {answer.message}"
            met[wish] = answer.code
            continue
        leaf, met[wish] = _leaf(answer, wish), "ignored"
        assert _names(leaf) == _names(plain), f"a request for {wish} was heeded: the leaf names {_names(leaf)}"
        assert _shape(leaf) == _shape(plain), f"a request for {wish} changed the leaf: {_shape(leaf) ^ _shape(plain)}"
        assert not violations(check_leaf(leaf)), f"a request for {wish} got a leaf that breaks the profile"
    bank.facts(wishes=met)


@pytest.mark.mesh_feature("CsrCallerKnown")
def test_a_caller_without_proof_gets_nothing(bank: MeshNamespace, office: Office) -> None:
    csr, good = request(new_key()), office.token(ACCOUNT)
    chain = _chain(office.ask(csr, token=good), "a token of the service's audience")
    broken = violations(check_chain(chain, published_roots(bank), at=datetime.now(UTC)))
    assert not broken, f"what the service issues does not lead to the published root: {'; '.join(map(str, broken))}"
    proofs = {
        "no token": "",
        "a token of another audience": office.token(ACCOUNT, audiences=["somebody-else"]),
        "a token of the API server's own audience": office.token(ACCOUNT, audiences=[]),
        "a token with a changed signature": good[:-8] + ("A" * 8 if good[-8:] != "A" * 8 else "B" * 8),
        "no token at all but a word": "let-me-in",
    }
    for proof, token in proofs.items():
        answer = office.ask(csr, token=token)
        assert not answer.issued, f"{proof}: a certificate was issued"
        assert answer.code == "UNAUTHENTICATED", f"{proof}: refused with {answer.code}, expected UNAUTHENTICATED"
    elsewhere = office.ask(csr, token=good, metadata=[("clusterid", "nobody-s-cluster")])
    assert elsewhere.code == "UNAUTHENTICATED", f"a cluster that nobody knows: {elsewhere.code}"


@pytest.mark.mesh_feature("CsrCallerKnown")
def test_the_token_of_a_user_is_no_proof_of_a_workload(bank: MeshNamespace, office: Office) -> None:
    csr, token = request(new_key()), _token_of_user(bank)
    if not token:
        pytest.skip(f"{NOT_APPLICABLE}the kubeconfig's user has no token but a certificate")
    _leaf(office.ask(csr, token=office.token(ACCOUNT)), "a token of the service's audience")
    answer = office.ask(csr, token=token)
    assert not answer.issued, f"the kubeconfig's user got a certificate for {uri_sans(_leaf(answer, 'a user'))}"
    assert answer.code == "UNAUTHENTICATED", f"a user's token: refused with {answer.code}, expected UNAUTHENTICATED"


@pytest.mark.mesh_feature("CsrCallerKnown")
def test_nobody_gets_a_certificate_for_another_by_asking_for_it(bank: MeshNamespace, office: Office) -> None:
    csr, token, own = request(new_key()), office.token(ACCOUNT), identity_of(bank, ACCOUNT)
    _leaf(office.ask(csr, token=token), "a request in one's own name")
    answer = office.ask(csr, token=token, wishes={"ImpersonatedIdentity": identity_of(bank, "vault")})
    if answer.issued:
        names = uri_sans(_leaf(answer, "a request for another"))
        assert names == [own], f"{ACCOUNT} asked in the name of another and got {names}"
    else:
        assert answer.code in REFUSED, f"a request in the name of another ended with {answer.code}: {answer.message}"
    bank.facts(impersonation=answer.code)


@pytest.mark.mesh_feature("CsrCallerAlive")
def test_the_token_of_a_deleted_pod_is_worth_nothing(bank: MeshNamespace, office: Office) -> None:
    bank.client("mayfly", inject=False)
    pod, csr = bank.pod("mayfly"), request(new_key())
    token = office.token("mayfly", pod=pod)
    _leaf(office.ask(csr, token=token), "a token of a pod that runs")
    name = pod["metadata"]["name"]

    for kind, api, target in (("Deployment", "apps/v1", "mayfly"), ("Pod", "v1", name)):
        bank.kube.delete(bank.kube.resource(api, kind).path(bank.name, target))
    bank.eventually(lambda: bank.find("v1", "Pod", name) is None, f"Pod {name} gone")
    gone = time.monotonic()
    while (answer := office.ask(csr, token=token)).code != "UNAUTHENTICATED":
        passed = time.monotonic() - gone
        assert passed < GONE_SECONDS, f"{passed:.1f} s after its pod's end a token is still good: {answer.code}"
        time.sleep(POLL_SECONDS)
    bank.facts(refusedAfterSeconds=round(time.monotonic() - gone, 1))


@pytest.mark.mesh_feature("CsrSignature")
def test_a_request_that_its_key_did_not_sign_is_refused(office: Office) -> None:
    token, good = office.token(ACCOUNT), request(new_key())
    _leaf(office.ask(good, token=token), "a request that its own key signed")
    forged = {
        "a signature with another bit": _changed(good, -1),
        "another's key": _with_key_of(good, request(new_key())),
    }
    for fault, csr in forged.items():
        answer = office.ask(csr, token=token)
        assert not answer.issued, f"a request with {fault} was signed"
        assert answer.code in REFUSED, f"a request with {fault} ended with {answer.code}: {answer.message}"


@pytest.mark.mesh_feature("CsrStrongKeys")
def test_a_weak_key_gets_no_certificate(office: Office) -> None:
    token = office.token(ACCOUNT)
    keys: dict[str, tuple[Key, bool]] = {
        "RSA with 2048 bits": (rsa.generate_private_key(public_exponent=65537, key_size=2048), True),
        "RSA with 1024 bits": (rsa.generate_private_key(public_exponent=65537, key_size=1024), False),  # noqa: S505 - the point of it
        "ECDSA on P-256": (new_key(), True),
        "ECDSA on P-224": (ec.generate_private_key(ec.SECP224R1()), False),
    }
    for name, (key, strong) in keys.items():
        answer = office.ask(request(key), token=token)
        assert answer.issued == strong, (
            f"{name}: {answer.code} {answer.message}, expected {'a leaf' if strong else 'none'}"
        )


@pytest.mark.mesh_feature("CsrLifetime")
def test_a_leaf_lives_as_long_as_was_asked_for_and_never_too_long(bank: MeshNamespace, office: Office) -> None:
    token = office.token(ACCOUNT)
    for wanted in (timedelta(minutes=10), timedelta(hours=1)):
        answer = office.ask(request(new_key()), token=token, ttl_seconds=int(wanted.total_seconds()))
        chain, now = _chain(answer, f"a life of {wanted}"), datetime.now(UTC)
        left, age = chain[0].not_valid_after_utc - now, now - chain[0].not_valid_before_utc
        assert abs(left - wanted) < timedelta(minutes=1), f"a life of {wanted} was asked for, {left} given"
        assert timedelta() <= age <= BACKDATING, (
            f"a new leaf begins {age} before its issue, 0 to {BACKDATING} are right"
        )
        broken = violations(check_chain(chain, published_roots(bank), at=now))
        assert not broken, f"the leaf for {wanted} does not hold: {'; '.join(map(str, broken))}"
    too_long = office.ask(request(new_key()), token=token, ttl_seconds=10 * 365 * 86_400)
    if too_long.issued:
        left = _leaf(too_long, "ten years").not_valid_after_utc - datetime.now(UTC)
        assert left <= LONGEST, f"ten years were asked for and {left} given, {LONGEST} are the most"
    else:
        assert too_long.code in REFUSED, f"a request for ten years ended with {too_long.code}: {too_long.message}"


@pytest.mark.mesh_feature("CsrHostile")
def test_a_hostile_request_is_refused_and_the_next_good_one_answered_at_once(
    bank: MeshNamespace, office: Office
) -> None:
    token, good = office.token(ACCOUNT), request(new_key())
    plain = _leaf(office.ask(good, token=token), "a good request")
    hostile = {
        "nothing": b"",
        "no PEM": b"not a certificate request",
        "PEM of no DER": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "half a request": good[: len(good) // 2],
        "a megabyte of nothing": b"\n" * 1_000_000,
        "ten megabytes of nothing": b"\n" * 10_000_000,
        "ten thousand names": request(new_key(), [x509.DNSName(f"name-{one}.example") for one in range(10_000)]),
        "a thousand extensions": request(new_key(), extensions=[(_unknown(one), True) for one in range(1000)]),
        "NUL and newline in a name": request(
            new_key(), [x509.UniformResourceIdentifier(f"{identity_of(bank, 'vault')}\n\x00")]
        ),
    }
    met = {}
    for name, csr in hostile.items():
        waits: list[float] = []
        while not waits or (waits[-1] >= AFTER_HOSTILE_SECONDS and len(waits) < HOSTILE_TURNS):
            answer = office.ask(csr, token=token)
            if answer.issued:
                assert _names(_leaf(answer, name)) == _names(plain), f"{name}: its names were heeded"
            else:
                assert answer.code in REFUSED, f"{name}: refused with {answer.code}: {answer.message}"
            began = time.monotonic()
            _leaf(office.ask(good, token=token), f"a good request after {name}")
            waits.append(time.monotonic() - began)
        met[name] = answer.code
        took = ", ".join(f"{wait:.1f}" for wait in waits)
        assert waits[-1] < AFTER_HOSTILE_SECONDS, f"after {name} a good request took {took} s, each time"
    bank.facts(hostile=met)


def _token_of_user(namespace: MeshNamespace) -> str:
    """Give the token of the kubeconfig's own user; empty where it proves itself otherwise."""
    users = yaml.safe_load(namespace.cluster.kubeconfig.read_text())["users"]
    return next((str(one["user"]["token"]) for one in users if one["user"].get("token")), "")


def _unknown(number: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{UNKNOWN.oid.dotted_string}.{number}"), b"\x05\x00")


def _chain(answer: Answer, what: str) -> list[x509.Certificate]:
    assert answer.issued, f"{what}: no certificate was issued: {answer.code}: {answer.message}"
    assert not [pem for pem in answer.chain if "PRIVATE KEY" in pem], f"{what}: a private key is in the answer"
    return [one for pem in answer.chain for one in x509.load_pem_x509_certificates(pem.encode())]


def _leaf(answer: Answer, what: str) -> x509.Certificate:
    return _chain(answer, what)[0]


def _names(leaf: x509.Certificate) -> list[str]:
    return sorted(map(str, leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value))


def _shape(leaf: x509.Certificate) -> set[tuple[str, bool, bytes]]:
    """Give every extension; issued under one authority to one caller, they differ in nothing but a key's identifier."""
    return {
        (one.oid.dotted_string, one.critical, one.value.public_bytes())
        for one in leaf.extensions
        if not isinstance(one.value, x509.SubjectKeyIdentifier)
    }


def _signing_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM)


def _changed(csr: bytes, at: int) -> bytes:
    der = bytearray(x509.load_pem_x509_csr(csr).public_bytes(serialization.Encoding.DER))
    der[at] ^= 1
    return _pem(bytes(der))


def _with_key_of(csr: bytes, other: bytes) -> bytes:
    """Put another request's public key into a request, whose signature then is not of that key."""
    der = x509.load_pem_x509_csr(csr).public_bytes(serialization.Encoding.DER)
    keys = [
        x509.load_pem_x509_csr(one)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        for one in (csr, other)
    ]
    assert der.count(keys[0]) == 1, "the request holds its key once"
    return _pem(der.replace(keys[0], keys[1]))
