"""Reads certificates from bytes that anybody may have written: PEM with several, or one DER. Pure.

A bound stands before each parser. What a certificate says is judged elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from pytest_mesh.identity import der

MAX_BYTES = 1024 * 1024
"""Of one file."""
MAX_CERTIFICATES = 1000

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----")


class UnreadableError(ValueError):
    """Bytes that are no certificates; the message says which and why."""


def load(data: bytes) -> x509.Certificate:
    """Parse one DER certificate; a serial that breaks CERT-SERIAL is for the judge. Raises UnreadableError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)  # an attribute of a name that is longer than its bound
            certificate = x509.load_der_x509_certificate(data)
            # These are parsed at their first use: what cannot be read must show here, not in the middle of a judgement.
            certificate.subject, certificate.issuer, certificate.not_valid_after_utc, certificate.not_valid_before_utc  # noqa: B018
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise UnreadableError(f"no X.509 certificate: {error}") from error
    return certificate


def split(data: bytes) -> list[bytes]:
    """Give the DER of each certificate in PEM text, or of the one that ``data`` is. Raises UnreadableError."""
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"{len(data)} bytes; at most {MAX_BYTES} are read")
    if data[:1] == b"\x30":
        try:
            whole = der.read(data)
        except der.DerError as error:
            raise UnreadableError(f"neither PEM nor DER: {error}") from error
        if len(whole.raw) != len(data):
            raise UnreadableError(f"{len(data) - len(whole.raw)} bytes follow the certificate")
        return [data]
    found = []
    for match in _BLOCK.finditer(data):
        if match[1] != b"CERTIFICATE":
            continue
        try:
            found.append(base64.b64decode(b"".join(match[2].split()), validate=True))
        except binascii.Error as error:
            raise UnreadableError(f"certificate {len(found)}: its base64 is broken: {error}") from error
        if len(found) > MAX_CERTIFICATES:
            raise UnreadableError(f"more than {MAX_CERTIFICATES} certificates")
    if not found:
        raise UnreadableError("no certificate: neither a PEM block CERTIFICATE nor DER")
    if data.count(b"-----BEGIN CERTIFICATE-----") != len(found):
        raise UnreadableError("a PEM block CERTIFICATE has no end, or holds what is no base64")
    return found
