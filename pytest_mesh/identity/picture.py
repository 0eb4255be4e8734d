"""What a certificate says, as plain data and as lines to read. Pure.

Whatever text a certificate holds is shown as printable ASCII: it was written by
whoever made the certificate, and terminals obey control characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.encoding import serial
from pytest_mesh.identity.x509_svid import extension, unreadable, uri_sans, usages

Json = dict[str, Any]

_EXTENDED = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}
_KINDS = {
    x509.UniformResourceIdentifier: "URI",
    x509.DNSName: "DNS",
    x509.RFC822Name: "email",
    x509.IPAddress: "IP",
    x509.DirectoryName: "directory",
    x509.RegisteredID: "OID",
    x509.OtherName: "other",
}
_BAR = 20


def shown(text: object) -> str:
    """Give text that no terminal obeys: everything but printable ASCII escaped, and the backslash with it."""
    return "".join(
        one if " " <= one <= "~" and one != "\\" else one.encode("unicode_escape").decode() for one in str(text)
    )


def picture(certificate: x509.Certificate, *, at: datetime) -> Json:
    """Give what the certificate says, and how much of its life is used at ``at`` (aware)."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    whole = (ends - begins).total_seconds()
    used = (at - begins).total_seconds() / whole if whole > 0 else 1.0
    data: Json = {
        "spiffeId": None,
        "subject": names.subject(certificate).rfc4514_string(),
        "issuer": names.issuer(certificate).rfc4514_string(),
        "serial": serial(certificate.public_bytes(Encoding.DER)).hex(),
        "notBefore": f"{begins:%Y-%m-%dT%H:%M:%SZ}",
        "notAfter": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        "lifetimeSeconds": int(whole),
        "secondsUntilValid": max(0, int((begins - at).total_seconds())),
        "secondsLeft": int((ends - at).total_seconds()),
        "used": round(used, 4),
        "key": _key(certificate),
        "signatureAlgorithm": certificate.signature_algorithm_oid._name,  # noqa: SLF001 - the name has no other door
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }
    if broken := unreadable(certificate):
        return {**data, "unreadable": broken[0].message}
    return {**data, **_extensions(certificate)}


def _extensions(certificate: x509.Certificate) -> Json:
    uris = uri_sans(certificate)
    basic, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    extended, san = extension(certificate, x509.ExtendedKeyUsage), extension(certificate, x509.SubjectAlternativeName)
    aki = extension(certificate, x509.AuthorityKeyIdentifier)
    ski = extension(certificate, x509.SubjectKeyIdentifier)
    return {
        "spiffeId": uris[0] if len(uris) == 1 else None,
        "ca": bool(basic and basic.value.ca),
        "pathLength": basic.value.path_length if basic else None,
        "keyUsage": usages(usage.value) if usage else None,
        "extendedKeyUsage": [_EXTENDED.get(one, one.dotted_string) for one in extended.value] if extended else None,
        "critical": [one.oid._name for one in certificate.extensions if one.critical],  # noqa: SLF001 - as above
        "subjectAltNames": [_name(one) for one in san.value] if san else [],
        "subjectKeyIdentifier": ski.value.digest.hex() if ski else None,
        "authorityKeyIdentifier": (aki.value.key_identifier or b"").hex() if aki else None,
    }


def _name(name: x509.GeneralName) -> Json:
    value = name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else name.value
    if isinstance(name, x509.RegisteredID):
        value = name.value.dotted_string
    if isinstance(value, bytes):
        value = value.hex()
    return {"kind": _KINDS.get(type(name), type(name).__name__), "value": str(value)}


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return f"unknown ({certificate.public_key_algorithm_oid.dotted_string})"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def lines(data: Json) -> Iterator[str]:
    """Give a picture's lines, each a name and a value, safe to print."""
    if "unreadable" in data:
        yield _line("extensions", data["unreadable"])
    else:
        yield _line("SPIFFE ID", data["spiffeId"] or "(not exactly one URI SAN)")
    yield _line("subject", data["subject"] or "(empty)")
    yield _line("issuer", data["issuer"] or "(empty)")
    yield _line("serial", data["serial"])
    yield _line("lifetime", f"{data['notBefore']} to {data['notAfter']}, {_span(data['lifetimeSeconds'])}")
    yield _line("", f"[{_bar(data['used'])}] {_state(data)}")
    yield _line("key", f"{data['key']}, signed with {data['signatureAlgorithm']}")
    if "unreadable" not in data:
        yield from _extension_lines(data)
    yield _line("SHA-256", data["sha256"])


def _extension_lines(data: Json) -> Iterator[str]:
    length = "" if data["pathLength"] is None else f", pathLen {data['pathLength']}"
    yield _line("CA", f"yes{length}" if data["ca"] else "no")
    yield _line("usage", "(absent)" if data["keyUsage"] is None else ", ".join(data["keyUsage"]) or "(none)")
    extended = data["extendedKeyUsage"]
    yield _line("extended usage", "(absent)" if extended is None else ", ".join(extended))
    for index, name in enumerate(data["subjectAltNames"]):
        yield _line("" if index else "names", f"{name['kind']} {name['value']}")
    yield _line("critical", ", ".join(data["critical"]) or "(none)")
    yield _line(
        "key ids", f"own {data['subjectKeyIdentifier'] or '-'}, issuer's {data['authorityKeyIdentifier'] or '-'}"
    )


def _line(name: str, value: object) -> str:
    return f"  {name:<15}{shown(value)}"


def _bar(used: float) -> str:
    filled = round(min(max(used, 0.0), 1.0) * _BAR)
    return "#" * filled + "-" * (_BAR - filled)


def _state(data: Json) -> str:
    if data["secondsUntilValid"]:
        return f"not valid for another {_span(data['secondsUntilValid'])}"
    if data["secondsLeft"] < 0:
        return f"expired {_span(-data['secondsLeft'])} ago"
    return f"{data['used']:.0%} used, {_span(data['secondsLeft'])} left"


def _span(seconds: int) -> str:
    days, rest = divmod(abs(int(seconds)), 86400)
    if days > 2:
        return f"{days} days"
    hours, minutes = f"{rest // 3600}h", f"{rest % 3600 // 60:02}m"
    return f"{days}d{hours}{minutes}" if days else f"{hours}{minutes}{rest % 60:02}s"
