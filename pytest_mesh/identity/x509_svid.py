"""The X509-SVID rules that one certificate can be held against, by rule id. Pure; path questions are in ``paths``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_mesh.identity.findings import Finding
from pytest_mesh.identity.spiffe import SpiffeId, SpiffeIdError

_E = TypeVar("_E", bound=x509.ExtensionType)

MAX_SERIAL_BITS = 159
"""20 octets hold a positive INTEGER of at most 159 bits (RFC 5280 section 4.1.2.2)."""


def uri_sans(certificate: x509.Certificate) -> list[str]:
    """Give the URI SANs, in order; empty when there is no SAN extension."""
    san = _extension(certificate, x509.SubjectAlternativeName)
    return san.value.get_values_for_type(x509.UniformResourceIdentifier) if san else []


def spiffe_id(certificate: x509.Certificate) -> str:
    """Give the one URI SAN; raises ValueError when there is none or more than one (SVID-URI-ONE)."""
    uris = uri_sans(certificate)
    if len(uris) != 1:
        raise ValueError(f"SVID-URI-ONE: {len(uris)} URI SANs: {uris}")
    return uris[0]


def check_leaf(certificate: x509.Certificate) -> list[Finding]:
    """Judge a leaf against X509-SVID sections 2 to 4 and RFC 5280 section 4.1."""
    return [*_identity(certificate), *_constraints(certificate), *_key_usage(certificate), *_profile(certificate)]


def check_signing(certificate: x509.Certificate) -> list[Finding]:
    """Judge a signing certificate: CA-TRUE, CA-KCS, CA-ID-NO-PATH, CERT-*."""
    findings = list(_profile(certificate, leaf=False))
    basic = _extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.value.ca:
        findings.append(_must("CA-TRUE", "a signing certificate has basicConstraints CA:TRUE"))
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        findings.append(_must("CA-KCS", "a signing certificate has keyUsage keyCertSign"))
    findings.extend(
        _must("CA-ID-NO-PATH", f"the signing certificate's ID {uri!r} has a path")
        for uri in uri_sans(certificate)
        if uri.startswith("spiffe://") and "/" in uri.removeprefix("spiffe://")
    )
    return findings


def _identity(certificate: x509.Certificate) -> Iterator[Finding]:
    uris = uri_sans(certificate)
    if len(uris) != 1:
        yield _must("SVID-URI-ONE", f"exactly one URI SAN is required, found {len(uris)}: {uris}")
    for uri in uris:
        if not uri.startswith("spiffe://"):
            yield _must("SVID-SCHEME-V", f"URI SAN {uri!r} is no SPIFFE ID")
            continue
        try:
            identity = SpiffeId.parse(uri)
        except SpiffeIdError as error:
            yield _must(error.rule, str(error))
            continue
        if not identity.path:
            yield _must("SVID-LEAF-PATH", f"the leaf's ID {uri!r} has no path")
    san = _extension(certificate, x509.SubjectAlternativeName)
    if san and not san.critical and not list(certificate.subject):
        yield _must("SVID-SAN-CRIT", "the subject is empty, so the SAN extension must be critical")


def _constraints(certificate: x509.Certificate) -> Iterator[Finding]:
    basic = _extension(certificate, x509.BasicConstraints)
    if basic and basic.value.ca:
        yield _must("LEAF-CA-FALSE", "a leaf has basicConstraints CA:FALSE")


def _key_usage(certificate: x509.Certificate) -> Iterator[Finding]:
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None:
        yield _must("LEAF-KU-PRESENT", "keyUsage is missing")
    else:
        if not usage.critical:
            yield _must("LEAF-KU-CRIT", "keyUsage is not critical")
        if not usage.value.digital_signature:
            yield _must("LEAF-KU-DS", "keyUsage lacks digitalSignature")
        if usage.value.key_cert_sign:
            yield _must("LEAF-NO-KCS", "keyUsage has keyCertSign")
        if usage.value.crl_sign:
            yield _must("LEAF-NO-CRLSIGN", "keyUsage has cRLSign")
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    if extended is None:
        yield Finding(rule="LEAF-EKU-PRESENT", level="should", message="extendedKeyUsage is missing")
    else:
        wanted = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
        for oid, name in wanted.items():
            if oid not in extended.value:
                yield _must("LEAF-EKU-BOTH", f"extendedKeyUsage lacks {name}")


def _profile(certificate: x509.Certificate, *, leaf: bool = True) -> Iterator[Finding]:
    if certificate.version is not x509.Version.v3:
        yield _must("CERT-V3", f"certificate version {certificate.version.name}, not v3")
    serial = certificate.serial_number
    if serial <= 0 or serial.bit_length() > MAX_SERIAL_BITS:
        yield _must("CERT-SERIAL", f"serial {serial:x} is not a positive number of at most 20 octets")
    if leaf and _extension(certificate, x509.AuthorityKeyIdentifier) is None:
        yield _must("CERT-AKI", "authorityKeyIdentifier is missing")


def _must(rule: str, message: str) -> Finding:
    return Finding(rule=rule, level="must", message=message)


def _extension(certificate: x509.Certificate, kind: type[_E]) -> x509.Extension[_E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
