"""The mesh's own authority, as its Secret gives it to whoever may read it: mints what the mutating proxy shows and signs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

_LIFE = dt.timedelta(hours=12)


class Authority:
    """The certificate and key of a mesh's CA."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.pem = certificate
        self._certificate = x509.load_pem_x509_certificate(certificate)
        loaded = serialization.load_pem_private_key(key, None)
        assert isinstance(loaded, CertificateIssuerPrivateKeyTypes)
        self._key: CertificateIssuerPrivateKeyTypes = loaded

    def server(self, names: Sequence[x509.GeneralName]) -> tuple[bytes, bytes]:
        """Give a server's chain and key (PEM) under the names that the real one bears."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain = self.leaf(key.public_key(), names)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return chain, secret

    def leaf(self, key: PublicKeyTypes, names: Sequence[x509.GeneralName]) -> bytes:
        """Give a leaf and the root, PEM."""
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=1))
            .not_valid_after(now + _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, content_commitment=False, key_encipherment=True, data_encipherment=False,
                    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()),  # type: ignore[arg-type]
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        return made.public_bytes(serialization.Encoding.PEM) + self.pem


def names_of(certificate: bytes) -> list[x509.GeneralName]:
    """Give the names that a certificate (PEM) bears."""
    found = x509.load_pem_x509_certificate(certificate)
    return list(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
