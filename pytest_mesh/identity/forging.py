"""Makes certificates of any shape, right or wrong, byte by byte: those that no library agrees to build. Pure.

For vectors of the judges and for refusal tests. A :class:`Draft` is a right
X509-SVID until a field is replaced. ``minting`` makes the usual ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pytest_mesh.identity import der
from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.reading import load

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension = tuple[str, bool, bytes]
"""OID, critical, the value's DER."""

_NULL = b"\x05\x00"
_HASHES: dict[str, tuple[hashes.HashAlgorithm, str, str]] = {
    "md5": (hashes.MD5(), "", "1.2.840.113549.1.1.4"),  # noqa: S303 - made to be refused
    "sha1": (hashes.SHA1(), "1.2.840.10045.4.1", "1.2.840.113549.1.1.5"),  # noqa: S303 - made to be refused
    "sha256": (hashes.SHA256(), "1.2.840.10045.4.3.2", "1.2.840.113549.1.1.11"),
    "sha384": (hashes.SHA384(), "1.2.840.10045.4.3.3", "1.2.840.113549.1.1.12"),
}
"""Hash, and the algorithm's OID with ECDSA and with RSA."""
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def name(organization: str = "", *, common_name: str = "") -> x509.Name:
    """Give a distinguished name; the empty one without arguments."""
    parts = ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts if text])


def usage(*bits: str, critical: bool = True) -> Extension:
    """Give a keyUsage with these bits (``digital_signature``, ``key_cert_sign`` ...)."""
    return extension(x509.KeyUsage(**{bit: bit in bits for bit in _USAGES}), critical=critical)


def extension(value: x509.ExtensionType, *, critical: bool = False) -> Extension:
    """Give an extension that the library knows."""
    return value.oid.dotted_string, critical, value.public_bytes()


def uri_names(*uris: str, dns: Sequence[str] = (), critical: bool = True) -> Extension:
    """Give a SAN extension with these URIs, as bytes: they may hold what no library writes."""
    written = [der.write(0x86, uri.encode("utf-8", "surrogateescape")) for uri in uris]
    named = [der.write(0x82, text.encode()) for text in dns]
    return "2.5.29.17", critical, der.write(der.SEQUENCE, *written, *named)


def constraints(*, ca: bool, path_length: int | None = None) -> Extension:
    """Give a critical basicConstraints."""
    return extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A certificate before it is signed. Times are (tag, text) pairs, the serial is an INTEGER's content."""

    subject: x509.Name
    issuer: x509.Name
    key: Key = field(repr=False)
    begins: tuple[int, bytes]
    ends: tuple[int, bytes]
    extensions: tuple[Extension, ...]
    serial: bytes = b"\x01"
    version: int | None = 2
    """What the version field says (2 is v3); None leaves it out (v1)."""
    digest: str = "sha256"
    announced_digest: str = ""
    """The algorithm in the signed part, when it is to differ from the one outside."""

    def without(self, *classes: type[x509.ExtensionType]) -> Draft:
        """Drop extensions."""
        gone = {one.oid.dotted_string for one in classes}
        return replace(self, extensions=tuple(one for one in self.extensions if one[0] not in gone))

    def having(self, *extensions: Extension) -> Draft:
        """Put extensions in the place of those of the same kind, or at the end."""
        given = {one[0]: one for one in extensions}
        kept = tuple(given.pop(one[0], one) for one in self.extensions)
        return replace(self, extensions=(*kept, *given.values()))

    def sign(self, key: Key) -> x509.Certificate:
        """Sign, and read the certificate."""
        return load(self.sign_der(key))

    def sign_der(self, key: Key) -> bytes:
        """Sign, and give the bytes, which need not be a certificate that anything reads."""
        outside = _algorithm(key, self.digest)
        signed = self._to_be_signed(_algorithm(key, self.announced_digest) if self.announced_digest else outside)
        return der.write(
            der.SEQUENCE, signed, outside, der.write(der.BIT_STRING, b"\0", _sign(key, self.digest, signed))
        )

    def _to_be_signed(self, algorithm: bytes) -> bytes:
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        listed = [
            der.write(
                der.SEQUENCE, der.oid(oid), b"\x01\x01\xff" if critical else b"", der.write(der.OCTET_STRING, value)
            )
            for oid, critical, value in self.extensions
        ]
        return der.write(
            der.SEQUENCE,
            b"" if self.version is None else der.write(0xA0, der.write(der.INTEGER, bytes([self.version]))),
            der.write(der.INTEGER, self.serial),
            algorithm,
            self.issuer.public_bytes(),
            der.write(der.SEQUENCE, der.write(*self.begins), der.write(*self.ends)),
            self.subject.public_bytes(),
            public,
            der.write(0xA3, der.write(der.SEQUENCE, *listed)) if listed else b"",
        )


def moment(at: datetime) -> tuple[int, bytes]:
    """Encode a time as RFC 5280 section 4.1.2.5 wants it."""
    at = at.astimezone(UTC)
    if at.year < 2050:
        return der.UTC_TIME, f"{at:%y%m%d%H%M%SZ}".encode()
    return der.GENERALIZED_TIME, f"{at:%Y%m%d%H%M%SZ}".encode()


def leaf(uri: str, issuer: x509.Certificate, key: Key, *, now: datetime, **fields: object) -> Draft:
    """Draft a right leaf SVID, valid from two minutes before ``now`` to a day after it."""
    draft = Draft(
        subject=x509.Name([]),
        issuer=names.subject(issuer),
        key=key,
        begins=moment(now - timedelta(minutes=2)),
        ends=moment(now + timedelta(days=1)),
        serial=_serial(key, uri),
        extensions=(
            constraints(ca=False),
            usage("digital_signature"),
            extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])),
            _authority_key(issuer),
            uri_names(uri),
        ),
    )
    return replace(draft, **fields)  # type: ignore[arg-type]


def signer(
    organization: str,
    key: Key,
    *,
    now: datetime,
    issuer: x509.Certificate | None = None,
    uri: str = "",
    **fields: object,
) -> Draft:
    """Draft a right signing certificate, a root without ``issuer``; ``uri`` is its SPIFFE ID."""
    subject = name(organization)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    draft = Draft(
        subject=subject,
        issuer=names.subject(issuer) if issuer else subject,
        key=key,
        begins=moment(now - timedelta(days=1)),
        ends=moment(now + timedelta(days=365)),
        serial=_serial(key, organization),
        extensions=(
            constraints(ca=True),
            usage("key_cert_sign"),
            extension(identifier),
            *((_authority_key(issuer),) if issuer else ()),
            *((uri_names(uri, critical=False),) if uri else ()),
        ),
    )
    return replace(draft, **fields)  # type: ignore[arg-type]


def tampered(certificate: x509.Certificate, *, old: bytes = b"", new: bytes = b"") -> x509.Certificate:
    """Give the same certificate with ``old`` replaced by ``new`` (of one length), or the last bit of its signature turned."""
    raw = certificate.public_bytes(serialization.Encoding.DER)
    if not old:
        return load(raw[:-1] + bytes([raw[-1] ^ 1]))
    if len(old) != len(new) or old not in raw:
        raise ValueError(f"{old!r} is not in the certificate, or {new!r} is of another length")
    return load(raw.replace(old, new))


def _authority_key(issuer: x509.Certificate) -> Extension:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier))


def _serial(key: Key, text: str) -> bytes:
    """Give sixteen bytes that depend on who asks for what: nothing here is drawn by chance."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(str(key.public_key().public_numbers()).encode() + text.encode("utf-8", "surrogateescape"))
    return b"\x01" + digest.finalize()[:15]


def _algorithm(key: Key, digest: str) -> bytes:
    _, ecdsa, with_rsa = _HASHES[digest]
    if isinstance(key, rsa.RSAPrivateKey):
        return der.write(der.SEQUENCE, der.oid(with_rsa), _NULL)
    return der.write(der.SEQUENCE, der.oid(ecdsa))


def _sign(key: Key, digest: str, data: bytes) -> bytes:
    algorithm = _HASHES[digest][0]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), algorithm)
    return key.sign(data, ec.ECDSA(algorithm))
