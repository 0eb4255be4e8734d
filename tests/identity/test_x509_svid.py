"""The X509-SVID judge: each rule has a certificate that keeps it and one that breaks only it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_mesh.identity import paths, x509_svid

AT = datetime(2030, 1, 1, tzinfo=UTC)
ID = "spiffe://cluster.local/ns/shop/sa/web"
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT_NAME = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "cluster.local")])


def usage(**on: bool) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    flags = dict.fromkeys([*names, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(**{**flags, **on})


def root(*, ca: bool = True, path_length: int | None = None, sign: bool = True) -> x509.Certificate:
    return (
        x509.CertificateBuilder(ROOT_NAME, ROOT_NAME, ROOT_KEY.public_key(), 1)
        .not_valid_before(AT - timedelta(days=1))
        .not_valid_after(AT + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(usage(key_cert_sign=sign, digital_signature=not sign), critical=True)
        .sign(ROOT_KEY, hashes.SHA256())
    )


def leaf(
    *,
    uris: tuple[str, ...] = (ID,),
    san_critical: bool = True,
    ca: bool = False,
    key_usage: x509.KeyUsage | None = None,
    usage_critical: bool = True,
    extended: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    not_after: datetime = AT + timedelta(hours=24),
    signer: ec.EllipticCurvePrivateKey = ROOT_KEY,
    aki: bool = True,
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder(ROOT_NAME, x509.Name([]), key.public_key(), x509.random_serial_number())
        .not_valid_before(AT - timedelta(minutes=2))
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(key_usage or usage(digital_signature=True, key_encipherment=True), critical=usage_critical)
        .add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), critical=san_critical
        )
    )
    if aki:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT_KEY.public_key()), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def rules(findings: list) -> set[str]:
    return {finding.rule for finding in findings}


def test_a_leaf_of_istios_shape_has_no_finding() -> None:
    assert x509_svid.check_leaf(leaf()) == []


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("SVID-URI-ONE", {"uris": (ID, "spiffe://cluster.local/ns/shop/sa/other")}),
        ("SVID-SCHEME-V", {"uris": ("http://cluster.local/ns/shop/sa/web",)}),
        ("SVID-LEAF-PATH", {"uris": ("spiffe://cluster.local",)}),
        ("ID-TD-LOWER", {"uris": ("spiffe://Cluster.local/ns/shop/sa/web",)}),
        ("SVID-SAN-CRIT", {"san_critical": False}),
        ("LEAF-CA-FALSE", {"ca": True}),
        ("LEAF-KU-CRIT", {"usage_critical": False}),
        ("LEAF-KU-DS", {"key_usage": usage(key_encipherment=True)}),
        ("LEAF-NO-KCS", {"key_usage": usage(digital_signature=True, key_cert_sign=True)}),
        ("LEAF-NO-CRLSIGN", {"key_usage": usage(digital_signature=True, crl_sign=True)}),
        ("LEAF-EKU-BOTH", {"extended": (ExtendedKeyUsageOID.SERVER_AUTH,)}),
        ("CERT-AKI", {"aki": False}),
    ],
)
def test_one_broken_field_is_found_by_its_rule_alone(rule: str, broken: dict) -> None:
    assert rules(x509_svid.check_leaf(leaf(**broken))) == {rule}


def test_a_chain_to_the_bundle_has_no_finding_with_and_without_the_root_in_it() -> None:
    anchor = root()
    certificate = leaf()

    assert paths.check_chain([certificate], [anchor], at=AT) == []
    assert paths.check_chain([certificate, anchor], [anchor], at=AT) == []


@pytest.mark.parametrize(
    ("rule", "certificate", "anchor"),
    [
        ("PATH-TIME", {"not_after": AT - timedelta(seconds=1)}, {}),
        ("PATH-ISSUER", {"signer": ec.generate_private_key(ec.SECP256R1())}, {}),
        ("PATH-BC", {}, {"ca": False}),
        ("PATH-KU", {}, {"sign": False}),
    ],
)
def test_a_broken_chain_is_found_by_its_rule_alone(rule: str, certificate: dict, anchor: dict) -> None:
    assert rules(paths.check_chain([leaf(**certificate)], [root(**anchor)], at=AT)) == {rule}


def test_a_signing_certificate_is_held_to_its_own_rules() -> None:
    assert x509_svid.check_signing(root()) == []
    assert rules(x509_svid.check_signing(root(ca=False, sign=False))) == {"CA-TRUE", "CA-KCS"}
