"""A leaf's certificate but for what differs from leaf to leaf: written once by the library, filled in for each workload.

Pure. Making a certificate out of parts costs the library more than signing it; here
a sample that it made is taken apart, and serial, validity, key and SAN are put in
their places. It deliberately knows no rule of its own: the sample's shape is the leaf's.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh_reference.ca.csr import LeafKey

SEQUENCE, INTEGER, BIT_STRING, OCTET_STRING, BOOLEAN_TRUE = 0x30, 0x02, 0x03, 0x04, b"\x01\x01\xff"
UTC_TIME, GENERALIZED_TIME, EXTENSIONS, URI = 0x17, 0x18, 0xA3, 0x86
SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
_LINE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An issued certificate."""

    der: bytes
    serial_number: int
    not_valid_after_utc: datetime

    @property
    def pem(self) -> str:
        text = binascii.b2a_base64(self.der, newline=False).decode()
        lines = "\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
        return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


class LeafTemplate:
    """What all leaves of one authority have in common."""

    def __init__(self, sample: x509.Certificate, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        """Take ``sample`` apart: a leaf with an empty subject, whose only SAN is a URI and critical."""
        version, _serial, algorithm, issuer, _validity, subject, _spki, extensions = _elements(
            _content(sample.tbs_certificate_bytes)
        )
        found = _elements(_content(_content(extensions)))
        at = next(index for index, one in enumerate(found) if SUBJECT_ALTERNATIVE_NAME in one)
        self._version = version
        self._before_validity = algorithm + issuer
        self._subject = subject
        self._before_san, self._after_san = b"".join(found[:at]), b"".join(found[at + 1 :])
        self._algorithm = algorithm
        digest = sample.signature_hash_algorithm
        assert isinstance(digest, hashes.SHA256 | hashes.SHA384)  # noqa: S101 - an authority signs with no other
        self._sign = _signing(key, digest)

    def fill(self, *, uri: str, key: LeafKey, serial: int, begins: datetime, ends: datetime) -> Leaf:
        """Give the signed leaf of ``key`` for ``uri``. Fractions of a second are cut off."""
        ends = ends.replace(microsecond=0)
        san = _der(OCTET_STRING, _der(SEQUENCE, _der(URI, uri.encode("ascii"))))
        extension = _der(SEQUENCE, SUBJECT_ALTERNATIVE_NAME + BOOLEAN_TRUE + san)
        to_sign = _der(
            SEQUENCE,
            b"".join(
                (
                    self._version,
                    _der(INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1)),
                    self._before_validity,
                    _der(SEQUENCE, _time(begins.replace(microsecond=0)) + _time(ends)),
                    self._subject,
                    key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
                    _der(EXTENSIONS, _der(SEQUENCE, self._before_san + extension + self._after_san)),
                )
            ),
        )
        signature = self._sign(to_sign)
        der = _der(SEQUENCE, to_sign + self._algorithm + _der(BIT_STRING, b"\x00" + signature))
        return Leaf(der=der, serial_number=serial, not_valid_after_utc=ends)


def _signing(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, digest: hashes.SHA256 | hashes.SHA384
) -> Callable[[bytes], bytes]:
    if isinstance(key, rsa.RSAPrivateKey):
        scheme = padding.PKCS1v15()
        return lambda data: key.sign(data, scheme, digest)
    algorithm = ec.ECDSA(digest)
    return lambda data: key.sign(data, algorithm)


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content


@lru_cache(maxsize=256)
def _time(moment: datetime) -> bytes:
    """UTCTime up to 2049, GeneralizedTime after (CERT-TIME-ENC)."""
    if moment.year < 2050:
        return _der(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return _der(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def _content(element: bytes) -> bytes:
    """Take tag and length off an element."""
    begin, end = _bounds(element, 0)
    return element[begin:end]


def _elements(content: bytes) -> list[bytes]:
    """Give the elements that follow each other, each with tag and length."""
    found, at = [], 0
    while at < len(content):
        _, end = _bounds(content, at)
        found.append(content[at:end])
        at = end
    return found


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    length, at = data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size]), at + size
    return at, at + length
