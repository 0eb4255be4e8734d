"""Makes X509-SVIDs, good ones and ones with a single fault, from a signing certificate and its key. Pure.

For refusal tests only: whatever a minted certificate opens, it opens because
the mesh's own key signed it. It deliberately reads no Secret and knows no mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LIFETIME = timedelta(minutes=10)
BACKDATING = timedelta(minutes=2)
BOTH_SIDES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A signing certificate, its key, and the certificates above it, for the chain. Its text never shows the key."""

    certificate: x509.Certificate
    key: Key = field(repr=False)
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def read(cls, certificate_pem: str, key_pem: str) -> Authority:
        """Read PEM. Raises ValueError when the two do not belong together, TypeError for a key of another kind."""
        certificate, *above = x509.load_pem_x509_certificates(certificate_pem.encode())
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise TypeError(f"a key of kind {type(key).__name__} signs no certificates here")
        if key.public_key() != certificate.public_key():
            raise ValueError("the key is not that of the first certificate")
        return cls(certificate=certificate, key=key, above=tuple(above))

    @classmethod
    def self_signed(cls, name: str, *, now: datetime, lifetime: timedelta = timedelta(days=365)) -> Authority:
        """Make a root."""
        return cls._root(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]), None, now, lifetime)

    @classmethod
    def imitation(cls, of: x509.Certificate, *, now: datetime) -> Authority:
        """Make a root with another's name and key identifier and a key of its own: only a signature tells them apart."""
        return cls._root(of.subject, _key_identifier(of), now, timedelta(days=1))

    @classmethod
    def _root(
        cls, subject: x509.Name, identifier: x509.SubjectKeyIdentifier | None, now: datetime, lifetime: timedelta
    ) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, subject, key, now - BACKDATING, now + lifetime, identifier)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True), critical=True)
        return cls(certificate=builder.sign(key, hashes.SHA256()), key=key)

    def below(self, name: str, *, now: datetime, lifetime: timedelta) -> Authority:
        """Make an authority that this one vouches for, and that signs leaves only."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        certificate = (
            _builder(subject, self.certificate.subject, key, now - BACKDATING, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_identifier(self.certificate)),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return Authority(certificate=certificate, key=key, above=(self.certificate, *self.above))

    def pem(self) -> str:
        """Give the signing certificate."""
        return pem(self.certificate)

    def key_pem(self) -> str:
        """Give the private key, PKCS#8."""
        return _private(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Svid:
    """A certificate to present: chain and key as PEM. Its text never shows the key."""

    chain: str
    key: str = field(repr=False)


def mint(
    authority: Authority,
    uris: Sequence[str],
    *,
    now: datetime,
    begins: timedelta = -BACKDATING,
    ends: timedelta = LIFETIME,
    dns_names: Sequence[str] = (),
    ca: bool = False,
    usages: Sequence[x509.ObjectIdentifier] = BOTH_SIDES,
) -> Svid:
    """Give an SVID of ``authority`` with these URI SANs, valid from ``now + begins`` to ``now + ends``.

    Every argument beyond the first two is the profile's own by default, so that
    a test differs from its twin by the one that it gives.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(x509.Name([]), authority.certificate.subject, key, now + begins, now + ends)
    names: list[x509.GeneralName] = [*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns_names)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=ca), critical=True)
        .add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
        .add_extension(
            # The issuer's own SKI: there is more than one way to compute it, and verifiers compare.
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_identifier(authority.certificate)),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Svid(chain="".join(map(pem, (certificate, authority.certificate, *authority.above))), key=_private(key))


def self_signed(uris: Sequence[str], *, now: datetime) -> Svid:
    """Give a certificate that only its own key vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed")])
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    certificate = (
        _builder(name, name, key, now - BACKDATING, now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(list(BOTH_SIDES)), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Svid(chain=pem(certificate), key=_private(key))


def _key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - the key of an Authority
        return x509.SubjectKeyIdentifier.from_public_key(key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    begins: datetime,
    ends: datetime,
    identifier: x509.SubjectKeyIdentifier | None = None,
) -> x509.CertificateBuilder:
    identifier = identifier or x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(identifier, critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=digital_signature,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def pem(certificate: x509.Certificate) -> str:
    """Give a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
