"""The signing authority by Istio's rules (IST-*) and SPIFFE's (SVID-*, LEAF-*), each refusal beside its positive twin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.ca import authority, csr

HOUR = timedelta(hours=1)


def leaf_of(chain: list[str]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain[0].encode())


def extension(certificate: x509.Certificate, kind: type) -> x509.Extension:
    return certificate.extensions.get_extension_for_class(kind)


def uris(certificate: x509.Certificate) -> list[str]:
    names = extension(certificate, x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def test_leaf_has_exactly_one_name_and_it_is_the_callers(signer, reviews, make_csr, now):
    leaf = leaf_of(signer.sign(make_csr(), reviews, ttl=HOUR, now=now))
    names = extension(leaf, x509.SubjectAlternativeName)
    assert [name.value for name in names.value] == ["spiffe://cluster.local/ns/shop/sa/reviews"]
    assert names.critical


def test_leaf_has_the_workload_profile(signer, reviews, make_csr, now):
    leaf = leaf_of(signer.sign(make_csr(), reviews, ttl=HOUR, now=now))
    usage = extension(leaf, x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    assert set(extension(leaf, x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    assert not extension(leaf, x509.BasicConstraints).value.ca
    assert len(leaf.subject) == 0
    assert leaf.version is x509.Version.v3


def test_leaf_verifies_against_the_root_that_comes_with_it(signer, reviews, make_csr, now):
    chain = signer.sign(make_csr(), reviews, ttl=HOUR, now=now)
    root = x509.load_pem_x509_certificate(chain[-1].encode())
    leaf_of(chain).verify_directly_issued_by(root)
    key_id = extension(root, x509.SubjectKeyIdentifier).value.digest
    assert extension(leaf_of(chain), x509.AuthorityKeyIdentifier).value.key_identifier == key_id


def test_names_and_extensions_of_the_csr_change_nothing(signer, reviews, make_csr, now):
    greedy = make_csr(
        extensions=(
            (
                x509.SubjectAlternativeName(
                    [
                        x509.UniformResourceIdentifier("spiffe://cluster.local/ns/kube-system/sa/admin"),
                        x509.DNSName("istiod.istio-system.svc"),
                        x509.RFC822Name("a@b.example"),
                    ]
                ),
                False,
            ),
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), False),
        )
    )
    plain = leaf_of(signer.sign(make_csr(), reviews, ttl=HOUR, now=now))
    leaf = leaf_of(signer.sign(greedy, reviews, ttl=HOUR, now=now))
    assert list(leaf.extensions) == list(plain.extensions)


def test_a_common_name_in_the_csr_yields_the_callers_own(signer, reviews, make_csr, now):
    leaf = leaf_of(signer.sign(make_csr(common_name="somebody else"), reviews, ttl=HOUR, now=now))
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [reviews.uri]


def test_an_at_sign_in_the_trust_domain_becomes_a_dot():
    identity = authority.Identity(trust_domain="me@example.com", namespace="a", service_account="b")
    assert identity.uri == "spiffe://me.example.com/ns/a/sa/b"


@pytest.mark.parametrize(
    ("asked", "given_life"),
    [
        (timedelta(), timedelta(hours=24)),
        (timedelta(seconds=-5), timedelta(hours=24)),
        (timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(days=90), timedelta(days=90)),
    ],
)
def test_lifetime_counts_from_the_present_and_begins_two_minutes_before(
    signer, reviews, make_csr, now, asked, given_life
):
    leaf = leaf_of(signer.sign(make_csr(), reviews, ttl=asked, now=now))
    assert leaf.not_valid_before_utc == now - timedelta(minutes=2)
    assert leaf.not_valid_after_utc == now + given_life


def test_a_lifetime_beyond_the_maximum_is_refused_and_not_cut(signer, reviews, make_csr, now):
    with pytest.raises(csr.CsrError, match="longer than the maximum"):
        signer.sign(make_csr(), reviews, ttl=timedelta(days=90, seconds=1), now=now)


def test_a_leaf_never_outlives_its_signer(reviews, make_csr, now):
    short = authority.Authority.create("cluster.local", now=now, lifetime=HOUR)
    leaf = leaf_of(short.sign(make_csr(), reviews, ttl=timedelta(hours=24), now=now))
    assert leaf.not_valid_after_utc == now + HOUR


def test_an_expired_signer_signs_nothing(reviews, make_csr, now):
    short = authority.Authority.create("cluster.local", now=now, lifetime=HOUR)
    short.sign(make_csr(), reviews, ttl=HOUR, now=now + HOUR - timedelta(seconds=1))
    with pytest.raises(authority.SignerError, match="expired"):
        short.sign(make_csr(), reviews, ttl=HOUR, now=now + HOUR)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "RSA-2048"],
)
def test_a_strong_key_is_signed(signer, reviews, make_csr, now, key):
    leaf = leaf_of(signer.sign(make_csr(key), reviews, ttl=HOUR, now=now))
    assert leaf.public_key() == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(3, 2048),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["RSA-1024", "RSA-e3", "P-224", "secp256k1", "Ed25519", "Ed448"],
)
def test_a_weak_key_is_refused(signer, reviews, make_csr, now, key):
    with pytest.raises(csr.CsrError, match="key"):
        signer.sign(make_csr(key), reviews, ttl=HOUR, now=now)


def test_ed25519_is_taken_where_the_operator_says_so(reviews, make_csr, now):
    lenient = authority.Authority.create("cluster.local", now=now, policy=authority.Policy(ed25519=True))
    key = ed25519.Ed25519PrivateKey.generate()
    assert leaf_of(lenient.sign(make_csr(key), reviews, ttl=HOUR, now=now)).public_key() == key.public_key()


def test_a_csr_signed_by_another_key_is_refused(signer, reviews, make_csr, now):
    pem = make_csr()
    der = bytearray(x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    signer.sign(pem, reviews, ttl=HOUR, now=now)
    with pytest.raises(csr.CsrError, match="signature"):
        signer.sign(forged, reviews, ttl=HOUR, now=now)


@given(st.one_of(st.text(max_size=400), st.binary(max_size=200).map(lambda b: b.decode("latin-1"))))
def test_no_text_but_a_csr_is_taken_and_nothing_breaks(signer, text):
    for candidate in (text, f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"):
        with pytest.raises(csr.CsrError):
            csr.load_csr(candidate)


def test_a_huge_csr_is_refused_unread():
    with pytest.raises(csr.CsrError, match="at most"):
        csr.load_csr("x" * (csr.MAX_CSR_BYTES + 1))


def test_serials_are_unique_positive_and_short(signer, reviews, make_csr, now):
    request = make_csr()
    serials = [leaf_of(signer.sign(request, reviews, ttl=HOUR, now=now)).serial_number for _ in range(200)]
    assert len(set(serials)) == len(serials)
    assert all(0 < serial < 2**128 for serial in serials)
    assert max(serials) > 2**64


def test_no_private_key_is_in_an_answer(signer, reviews, make_csr, now):
    assert "PRIVATE KEY" not in "".join(signer.sign(make_csr(), reviews, ttl=HOUR, now=now))


@pytest.mark.parametrize("algorithm", ["ECDSA-P256", "ECDSA-P384", "RSA-2048"])
def test_a_root_is_self_signed_for_ten_years_and_signs(reviews, make_csr, now, algorithm):
    root = authority.Authority.create("example.org", now=now, algorithm=algorithm)
    certificate = root.certificate
    certificate.verify_directly_issued_by(certificate)
    assert [name.value for name in certificate.subject] == ["example.org"]
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert extension(certificate, x509.BasicConstraints).value.ca
    assert uris(certificate) == ["spiffe://example.org"]
    assert certificate.not_valid_after_utc == now + authority.ROOT_LIFETIME
    leaf_of(root.sign(make_csr(), reviews, ttl=HOUR, now=now)).verify_directly_issued_by(certificate)


def test_a_kept_root_is_the_same_root(signer, reviews, make_csr, now):
    kept = authority.Authority.load(signer.root_pem, signer.key_pem(), "cluster.local")
    assert kept.root_pem == signer.root_pem
    leaf_of(kept.sign(make_csr(), reviews, ttl=HOUR, now=now)).verify_directly_issued_by(signer.certificate)


def test_a_root_with_another_roots_key_is_refused(signer, now):
    other = authority.Authority.create("cluster.local", now=now)
    with pytest.raises(authority.SignerError, match="public key"):
        authority.Authority.load(signer.root_pem, other.key_pem(), "cluster.local")


def test_a_leaf_cannot_be_an_authority(signer, reviews, make_csr, now):
    key = ec.generate_private_key(ec.SECP256R1())
    chain = signer.sign(make_csr(key), reviews, ttl=HOUR, now=now)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with pytest.raises(authority.SignerError, match="CA:TRUE"):
        authority.Authority.load(chain[0], pem, "cluster.local")


def test_a_server_certificate_names_its_hosts_and_chains_to_the_root(signer):
    chain_pem, key_pem = signer.issue_server_certificate(["istiod.istio-system.svc", "istiod"])
    leaf, root = x509.load_pem_x509_certificates(chain_pem.encode())
    leaf.verify_directly_issued_by(root)
    names = extension(leaf, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["istiod.istio-system.svc", "istiod"]
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert key.public_key() == leaf.public_key()
    assert isinstance(leaf.signature_hash_algorithm, hashes.SHA256)


def test_a_server_certificate_for_nobody_is_refused(signer):
    with pytest.raises(authority.SignerError, match="DNS name"):
        signer.issue_server_certificate([])
