"""A workload may prove itself to the certificate service by the certificate that it has; a foreign one proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.signing_office import Office, new_key, opened, request
from mesh_conformance.identity.wire import identity_of
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.csr_client import Answer
from pytest_mesh.identity.minting import Authority, Svid, mint, self_signed
from pytest_mesh.identity.x509_svid import uri_sans
from pytest_mesh.namespace import MeshNamespace

ACCOUNT = "tester"
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE")
"""What a caller meets who is not known; UNAVAILABLE is a handshake that the service ended."""
HOUR = timedelta(hours=1)


@pytest.fixture
def office(mesh: RunningMesh, bank: MeshNamespace) -> Iterator[Office]:
    """The service, at the port where certificates are proof."""
    mesh.needs("client_certificate_port")
    with opened(bank, ACCOUNT, port=mesh.implementation.client_certificate_port) as found:
        yield found


@pytest.mark.mesh_feature("CsrCallerByCertificate")
def test_a_workload_renews_its_certificate_by_the_one_that_it_has(bank: MeshNamespace, office: Office) -> None:
    key = new_key()
    with opened(bank, ACCOUNT) as by_token:
        first = by_token.ask(request(key), token=by_token.token(ACCOUNT))
    names, fresh = _names(first, "a token"), new_key()
    renewed = office.ask(request(fresh), svid=Svid(chain="".join(first.chain), key=_pem(key)))
    assert _names(renewed, "the certificate that the token got") == names == [identity_of(bank, ACCOUNT)]
    leaf = x509.load_pem_x509_certificate(renewed.chain[0].encode())
    assert leaf.public_key() == fresh.public_key(), "the renewed certificate is of another key than the request's"


@pytest.mark.mesh_feature("CsrCallerByCertificate")
def test_a_foreign_certificate_renews_nothing(mesh: RunningMesh, bank: MeshNamespace, office: Office) -> None:
    own, now = signing_authority(mesh, bank), datetime.now(UTC)
    uri, domain = identity_of(bank, ACCOUNT), mesh.implementation.trust_domain
    path = uri.removeprefix(f"spiffe://{domain}")
    foreign: dict[str, Svid | None] = {
        "no certificate": None,
        "a certificate of a root that imitates the mesh's": mint(
            Authority.imitation(own.certificate, now=now), [uri], now=now
        ),
        "a self-signed certificate": self_signed([uri], now=now),
        "a certificate of another trust domain": mint(own, [f"spiffe://elsewhere.example{path}"], now=now),
        "a certificate of a longer trust domain": mint(own, [f"spiffe://{domain}.example{path}"], now=now),
        "a certificate of two workloads": mint(own, [uri, identity_of(bank, "vault")], now=now),
        "an expired certificate": mint(own, [uri], now=now, begins=-2 * HOUR, ends=-HOUR),
    }
    csr, good, met = request(new_key()), mint(own, [uri], now=now), {}
    _names(office.ask(csr, svid=good), "a certificate of the mesh's own authority")
    for what, svid in foreign.items():
        answer = office.ask(csr, svid=svid)
        assert not answer.issued, f"{what} was taken for proof: it got a certificate for {_names(answer, what)}"
        assert answer.code in REFUSED, f"{what}: refused with {answer.code}: {answer.message}"
        met[what] = answer.code
        _names(office.ask(csr, svid=good), f"the mesh's own certificate after {what}")
    bank.facts(refused=met)


def _names(answer: Answer, what: str) -> list[str]:
    assert answer.issued, f"{what}: no certificate was issued: {answer.code}: {answer.message}"
    return uri_sans(x509.load_pem_x509_certificate(answer.chain[0].encode()))


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
