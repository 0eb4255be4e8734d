"""Minted SVIDs: the right one keeps every rule, and each wrong one breaks the rule that it is made to break."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.minting import Authority, Svid, mint, self_signed
from pytest_mesh.identity.paths import check_chain
from pytest_mesh.identity.x509_svid import check_leaf, check_signing, uri_sans

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = "spiffe://cluster.local/ns/shop/sa/alice"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.self_signed("cluster.local", now=NOW)


def chain_of(svid: Svid) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(svid.chain.encode())


def broken(svid: Svid, authority: Authority) -> set[str]:
    chain = chain_of(svid)
    found = [*check_leaf(chain[0]), *check_chain(chain, [authority.certificate], at=NOW)]
    return {finding.rule for finding in violations(found)}


def test_a_right_svid_keeps_every_rule(authority):
    svid = mint(authority, [ALICE], now=NOW)
    assert broken(svid, authority) == set()
    assert uri_sans(chain_of(svid)[0]) == [ALICE]
    key = serialization.load_pem_private_key(svid.key.encode(), None)
    assert key.public_key() == chain_of(svid)[0].public_key()
    assert violations(check_signing(authority.certificate)) == []


def test_an_authority_below_another_signs_svids_that_lead_to_the_upper_one(authority):
    lower = authority.below("a minute", now=NOW, lifetime=timedelta(minutes=1))
    svid = mint(lower, [ALICE], now=NOW, ends=timedelta(minutes=1))

    assert broken(svid, authority) == set()
    assert chain_of(svid)[1:] == [lower.certificate, authority.certificate]
    assert lower.certificate.not_valid_after_utc == NOW + timedelta(minutes=1)
    assert violations(check_signing(lower.certificate)) == []


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"uris": [ALICE, ALICE + "2"]}, {"SVID-URI-ONE"}),
        ({"uris": []}, {"SVID-URI-ONE"}),
        ({"uris": [ALICE.replace("spiffe:", "https:")]}, {"SVID-SCHEME-V"}),
        ({"uris": ["spiffe://cluster.local"]}, {"SVID-LEAF-PATH"}),
        ({"begins": HOUR, "ends": 2 * HOUR}, {"PATH-TIME"}),
        ({"begins": -2 * HOUR, "ends": -HOUR}, {"PATH-TIME"}),
        ({"ca": True}, {"LEAF-CA-FALSE", "LEAF-NO-KCS"}),
        ({"usages": [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]}, {"LEAF-EKU-BOTH"}),
    ],
)
def test_a_wrong_svid_breaks_the_rule_that_it_is_made_for(authority, changes, rules):
    uris = changes.pop("uris", [ALICE])
    assert broken(mint(authority, uris, now=NOW, **changes), authority) == rules


def test_an_imitated_root_differs_by_nothing_but_its_key(authority):
    imitation = Authority.imitation(authority.certificate, now=NOW)
    one, other = authority.certificate, imitation.certificate
    assert one.subject == other.subject
    assert one.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ) == other.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    svid = mint(imitation, [ALICE], now=NOW)
    assert broken(svid, authority) == {"PATH-SIG"}
    assert broken(svid, imitation) == set()


def test_a_self_signed_one_leads_nowhere(authority):
    assert "PATH-ISSUER" in broken(self_signed([ALICE], now=NOW), authority)


def test_the_issuers_own_key_identifier_is_repeated_however_it_was_computed():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "odd")])
    odd = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - HOUR)
        .not_valid_after(NOW + HOUR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(b"another way"), critical=False)
        .sign(key, hashes.SHA256())
    )
    leaf = chain_of(mint(Authority(certificate=odd, key=key), [ALICE], now=NOW))[0]
    found = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert found.key_identifier == b"another way"


def test_reading_wants_the_key_of_the_certificate(authority):
    assert Authority.read(authority.pem(), authority.key_pem()).certificate == authority.certificate
    with pytest.raises(ValueError, match="not that of the first certificate"):
        Authority.read(authority.pem(), Authority.self_signed("other", now=NOW).key_pem())


def test_no_text_shows_a_key(authority):
    assert "PRIVATE KEY" not in repr(authority) + repr(mint(authority, [ALICE], now=NOW))


@given(st.integers(-5000, 5000), st.integers(1, 5000))
def test_a_minted_svid_is_in_time_exactly_between_its_ends(authority, begins, life):
    svid = mint(authority, [ALICE], now=NOW, begins=timedelta(seconds=begins), ends=timedelta(seconds=begins + life))
    assert ("PATH-TIME" in broken(svid, authority)) == (not begins <= 0 <= begins + life)
