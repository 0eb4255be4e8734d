"""The X509-SVID rules that one certificate can be held against, by rule id. Pure; path questions are in ``paths``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.encoding import check_encoding, serial
from pytest_mesh.identity.findings import Finding, one_per_rule
from pytest_mesh.identity.rules import found
from pytest_mesh.identity.spiffe import SpiffeId, check_id

_FEW = 8
"""URIs that are judged and shown; more than one is wrong by itself."""
_SHOWN = 300
_E = TypeVar("_E", bound=x509.ExtensionType)


def uri_sans(certificate: x509.Certificate) -> list[str]:
    """Give the URI SANs, in order; empty when there is no SAN extension."""
    san = extension(certificate, x509.SubjectAlternativeName)
    return san.value.get_values_for_type(x509.UniformResourceIdentifier) if san else []


def spiffe_id(certificate: x509.Certificate) -> str:
    """Give the one URI SAN; raises ValueError when there is none or more than one (SVID-URI-ONE)."""
    uris = uri_sans(certificate)
    if len(uris) != 1:
        raise ValueError(f"SVID-URI-ONE: {len(uris)} URI SANs: {uris}")
    return uris[0]


def check_leaf(certificate: x509.Certificate) -> list[Finding]:
    """Judge a leaf against X509-SVID sections 2 to 4 and RFC 5280 section 4.1: each rule once, all of them at once."""
    return one_per_rule([*_encoded(certificate), *(unreadable(certificate) or _leaf(certificate))])


def check_signing(certificate: x509.Certificate) -> list[Finding]:
    """Judge a signing certificate against X509-SVID sections 3.2 and 4 and RFC 5280 section 4: each rule once."""
    return one_per_rule([*_encoded(certificate), *(unreadable(certificate) or _signing(certificate))])


def check_serials(certificates: Iterable[x509.Certificate]) -> list[Finding]:
    """Judge certificates side by side: no two different ones of an issuer have one serial (CERT-SERIAL)."""
    known: dict[tuple[bytes, bytes], bytes] = {}
    findings = []
    for certificate in certificates:
        raw = certificate.public_bytes(Encoding.DER)
        number = serial(raw)
        if known.setdefault((names.issuer(certificate).public_bytes(), number), raw) != raw:
            issuer = names.issuer(certificate).rfc4514_string()
            message = f"two certificates of issuer {issuer!r} have one serial"
            findings.append(found("CERT-SERIAL", message, field="serialNumber", seen=number.hex()))
    return one_per_rule(findings)


def unreadable(certificate: x509.Certificate) -> list[Finding]:
    """Say why the extensions cannot be read (PATH-5280); empty when they can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a name in them that is longer than its bound
            certificate.extensions  # noqa: B018 - parsed at the first use
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return [found("PATH-5280", f"the extensions cannot be read: {error}", field="extensions")]
    return []


def extension(certificate: x509.Certificate, kind: type[_E]) -> x509.Extension[_E] | None:
    """Give the extension of that kind, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _encoded(certificate: x509.Certificate) -> list[Finding]:
    return check_encoding(certificate.public_bytes(Encoding.DER))


def _leaf(certificate: x509.Certificate) -> Iterator[Finding]:
    yield from _identity(certificate)
    basic = extension(certificate, x509.BasicConstraints)
    if basic and basic.value.ca:
        yield found("LEAF-CA-FALSE", "a leaf has basicConstraints CA:FALSE", field="basicConstraints", seen="CA:TRUE")
    yield from _key_usage(certificate)
    yield from _extended_key_usage(certificate)
    yield from _authority_key(certificate)


def _identity(certificate: x509.Certificate) -> Iterator[Finding]:
    uris, field = uri_sans(certificate), "subjectAltName"
    if len(uris) != 1:
        message = f"exactly one URI SAN is required, found {len(uris)}: {_few(uris)}"
        yield found("SVID-URI-ONE", message, field=field, seen=_few(uris))
    for uri in uris[:_FEW]:
        if uri.partition(":")[0].lower() != "spiffe":
            yield found("SVID-SCHEME-V", f"URI SAN {_short(uri)!r} is no SPIFFE ID", field=field, seen=_short(uri))
            continue
        broken = [found(one.rule, one.message, field=field, seen=_short(uri)) for one in check_id(uri)]
        yield from broken
        if not any(one.level == "must" for one in broken) and not SpiffeId.parse(uri).path:
            yield found("SVID-LEAF-PATH", f"the leaf's ID {_short(uri)!r} has no path", field=field, seen=_short(uri))
    san = extension(certificate, x509.SubjectAlternativeName)
    if san and not san.critical and not list(names.subject(certificate)):
        message = "the subject is empty, so the SAN extension must be critical"
        yield found("SVID-SAN-CRIT", message, field=field, seen="not critical")


def _key_usage(certificate: x509.Certificate) -> Iterator[Finding]:
    usage, field = extension(certificate, x509.KeyUsage), "keyUsage"
    if usage is None:
        yield found("LEAF-KU-PRESENT", "keyUsage is missing", field=field, seen="absent")
        return
    seen = usages(usage.value)
    if not usage.critical:
        yield found("LEAF-KU-CRIT", "keyUsage is not critical", field=field, seen="not critical")
    if not usage.value.digital_signature:
        yield found("LEAF-KU-DS", "keyUsage lacks digitalSignature", field=field, seen=", ".join(seen))
    if usage.value.key_cert_sign:
        yield found("LEAF-NO-KCS", "keyUsage has keyCertSign", field=field, seen=", ".join(seen))
    if usage.value.crl_sign:
        yield found("LEAF-NO-CRLSIGN", "keyUsage has cRLSign", field=field, seen=", ".join(seen))


def usages(usage: x509.KeyUsage) -> list[str]:
    """Name the bits of a keyUsage as RFC 5280 does."""
    named = {
        "digitalSignature": usage.digital_signature,
        "nonRepudiation": usage.content_commitment,
        "keyEncipherment": usage.key_encipherment,
        "dataEncipherment": usage.data_encipherment,
        "keyAgreement": usage.key_agreement,
        "keyCertSign": usage.key_cert_sign,
        "cRLSign": usage.crl_sign,
        "encipherOnly": usage.key_agreement and usage.encipher_only,
        "decipherOnly": usage.key_agreement and usage.decipher_only,
    }
    return [name for name, on in named.items() if on]


def _extended_key_usage(certificate: x509.Certificate) -> Iterator[Finding]:
    extended, field = extension(certificate, x509.ExtendedKeyUsage), "extendedKeyUsage"
    if extended is None:
        yield found("LEAF-EKU-PRESENT", "extendedKeyUsage is missing", field=field, seen="absent")
        return
    wanted = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
    for oid, name in wanted.items():
        if oid not in extended.value:
            seen = ", ".join(one.dotted_string for one in extended.value)
            yield found("LEAF-EKU-BOTH", f"extendedKeyUsage lacks {name}", field=field, seen=seen)


def _signing(certificate: x509.Certificate) -> Iterator[Finding]:
    basic = extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.value.ca:
        message, seen = "a signing certificate has basicConstraints CA:TRUE", "CA:FALSE" if basic else "absent"
        yield found("CA-TRUE", message, field="basicConstraints", seen=seen)
    uris = uri_sans(certificate)
    usage = extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        seen = ", ".join(usages(usage.value)) if usage else "absent"
        yield found("CA-KCS", "a signing certificate has keyUsage keyCertSign", field="keyUsage", seen=seen)
    elif not usage.critical:
        named = any(uri.startswith("spiffe://") for uri in uris)
        message = "keyUsage is not critical on a signing " + ("SVID" if named else "certificate, which is no SVID")
        level = "must" if named else "note"
        yield found("CA-KU-CRIT", message, field="keyUsage", seen="not critical", level=level)  # type: ignore[arg-type]
    yield from _signers_identity(uris)
    if extension(certificate, x509.ExtendedKeyUsage):
        message = "extendedKeyUsage on a signing certificate: some validators apply it to what is below, others do not"
        yield found("CA-EKU-NOTE", message, field="extendedKeyUsage")
    if extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield found("CERT-SKI", "subjectKeyIdentifier is missing", field="subjectKeyIdentifier", seen="absent")
    if names.issuer(certificate) != names.subject(certificate):
        yield from _authority_key(certificate)


def _signers_identity(uris: list[str]) -> Iterator[Finding]:
    field = "subjectAltName"
    if not any(uri.startswith("spiffe://") for uri in uris):
        message = "a signing certificate should have a SPIFFE ID, that of its trust domain"
        yield found("CA-IS-SVID", message, field=field, seen=_few(uris) if uris else "absent")
        return
    if len(uris) != 1:
        yield found(
            "SVID-URI-ONE", f"an SVID has one URI SAN, found {len(uris)}: {_few(uris)}", field=field, seen=_few(uris)
        )
    for uri in uris[:_FEW]:
        broken = [found(one.rule, one.message, field=field, seen=_short(uri)) for one in check_id(uri)]
        yield from broken
        if not any(one.level == "must" for one in broken) and SpiffeId.parse(uri).path:
            message = f"the signing certificate's ID {_short(uri)!r} has a path"
            yield found("CA-ID-NO-PATH", message, field=field, seen=_short(uri))


def _few(texts: list[str]) -> str:
    """Give the first of them: a certificate may have ten thousand, and each may be long."""
    more = f" and {len(texts) - _FEW} more" if len(texts) > _FEW else ""
    return f"{[_short(one) for one in texts[:_FEW]]}{more}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _authority_key(certificate: x509.Certificate) -> Iterator[Finding]:
    aki = extension(certificate, x509.AuthorityKeyIdentifier)
    if aki is None or aki.value.key_identifier is None:
        seen = "no keyIdentifier" if aki else "absent"
        yield found("CERT-AKI", "authorityKeyIdentifier is missing", field="authorityKeyIdentifier", seen=seen)
