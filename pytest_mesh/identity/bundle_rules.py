"""Judges SPIFFE bundles as they are published: one trust domain's, a map of several, and one after the other. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.bundles import (
    KNOWN_KEY_TYPES,
    X509_USE,
    BundleError,
    DuplicateKeyError,
    Json,
    certificate_of,
    entries,
    parse_json,
)
from pytest_mesh.identity.findings import Finding, one_per_rule, placed
from pytest_mesh.identity.reading import UnreadableError
from pytest_mesh.identity.rules import found
from pytest_mesh.identity.signatures import weakness
from pytest_mesh.identity.spiffe import check_id
from pytest_mesh.identity.svid import domain_of
from pytest_mesh.identity.x509_svid import extension, unreadable

_NEEDED = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x"), "oct": ("k",)}
"""RFC 7518 section 6 and RFC 8037: the parameters that hold the key."""
_KNOWN_USES = (X509_USE, "jwt-svid")


def check_bundle(text: str | bytes, trust_domain: str = "") -> list[Finding]:
    """Judge the bundle that ``trust_domain`` publishes (empty: not known), each rule once."""
    try:
        return one_per_rule(_document(parse_json(text), trust_domain))
    except BundleError as error:
        return [found(error.rule, str(error))]
    except DuplicateKeyError as error:
        return [found("B-JWKS", str(error))]


def check_bundle_map(text: str | bytes) -> list[Finding]:
    """Judge a map of bundles by trust domain; what is wrong inside one has its name in the field."""
    try:
        document = parse_json(text)
    except BundleError as error:
        return [found(error.rule, str(error))]
    except DuplicateKeyError as error:
        return [found("BM-DUP", str(error), field="trust_domains")]
    domains = document.get("trust_domains")
    if not isinstance(domains, dict):
        return [found("BM-MAP", "trust_domains is missing, or is no object", field="trust_domains", seen=domains)]
    findings: list[Finding] = []
    for name, bundle in domains.items():
        where = f"trust_domains[{name[:255]!r}]"
        findings += placed(where, check_id(f"spiffe://{name}"))
        if not isinstance(bundle, dict):
            findings.append(found("BM-MAP", "what stands there is no bundle", field=where))
            continue
        if "spiffe_refresh_hint" in bundle:
            findings.append(found("BM-REFRESH", "a bundle in a map has a refresh hint of its own", field=where))
        findings += placed(where, one_per_rule(_document(bundle, name, mapped=True)))
    return findings


def check_succession(documents: Sequence[str | bytes]) -> list[Finding]:
    """Judge bundles of one trust domain in the order of their publication: B-SEQ grows with every change."""
    findings = []
    last: Json | None = None
    for index, text in enumerate(documents):
        document = parse_json(text)
        number, before = document.get("spiffe_sequence"), last.get("spiffe_sequence") if last else None
        if last is not None and _is_whole(number) and _is_whole(before):
            changed = _content(document) != _content(last)
            if number < before or (changed and number == before):
                message = "the content changed and the sequence number did not grow" if changed else "it went back"
                findings.append(
                    found("B-SEQ", message, field=f"[{index}].spiffe_sequence", seen=f"{number} after {before}")
                )
        last = document
    return one_per_rule(findings)


def _document(document: Json, trust_domain: str, *, mapped: bool = False) -> Iterator[Finding]:
    hints = [("spiffe_sequence", "B-SEQ"), *([] if mapped else [("spiffe_refresh_hint", "B-REFRESH")])]
    for field, rule in hints:
        if field not in document:
            yield found(rule, f"{field} is missing", field=field, seen="absent", level="should")
        elif not _is_whole(document[field]):
            yield found(rule, f"{field} is no whole number", field=field, seen=repr(document[field])[:80])
    try:
        listed = entries(document)
    except BundleError as error:
        yield found(error.rule, str(error), field="keys")
        return
    authorities = 0
    for index, entry in enumerate(listed):
        where = f"keys[{index}]"
        yield from placed(where, _entry(entry))
        if entry.get("use") == X509_USE:
            try:
                certificate = certificate_of(entry)
            except UnreadableError as error:
                yield found("B-X5C-ONE", str(error), field=f"{where}.x5c")
                continue
            authorities += entry.get("kty") in KNOWN_KEY_TYPES
            yield from placed(f"{where}.x5c", _authority(certificate, entry, trust_domain))
    if not authorities:
        yield found("ID-TD-AUTH", "no authority for X509-SVIDs: none of this trust domain is valid", field="keys")


def _entry(entry: Json) -> Iterator[Finding]:
    kty, use = entry.get("kty"), entry.get("use")
    if not isinstance(kty, str):
        yield found("B-KTY", "kty is missing", field="kty", seen=repr(kty)[:80])
    else:
        missing = [name for name in _NEEDED.get(kty, ()) if not isinstance(entry.get(name), str)]
        if missing:
            yield found(
                "B-JWKS", f"a key of kty {kty} has {', '.join(missing)}", field=", ".join(missing), seen="absent"
            )
    if not isinstance(use, str):
        yield found("B-USE", "use is missing", field="use", seen=repr(use)[:80])
    elif use != X509_USE and (use.lower() == X509_USE or ("x5c" in entry and use not in _KNOWN_USES)):
        yield found("B-X509-USE", f"an entry with x5c has use {X509_USE}", field="use", seen=repr(use)[:80])
    if use == X509_USE:
        if "kid" in entry:
            yield found("B-X509-NO-KID", "an entry for X509-SVIDs has a kid", field="kid", seen=repr(entry["kid"])[:80])
        if isinstance(entry.get("x5c"), list) and len(entry["x5c"]) > 1:
            yield found("B-X5C-ONE", "x5c has more than one certificate", field="x5c", seen=len(entry["x5c"]))


def _authority(certificate: x509.Certificate, entry: Json, trust_domain: str) -> Iterator[Finding]:
    if broken := unreadable(certificate):
        yield from broken
        return
    basic = extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.value.ca:
        yield found("B-X5C-ONE", "the certificate is no CA's")
    elif names.issuer(certificate) != names.subject(certificate) or weakness(certificate, certificate):
        yield found("B-X5C-ONE", "the certificate is not self-signed", level="should")
    domain = domain_of(certificate)
    if trust_domain and domain and domain != trust_domain:
        message = f"the authority's ID is of {domain!r}, not of {trust_domain!r}"
        yield found("ID-AUTH-NAME", message, field="subjectAltName", seen=domain)
    if _written(certificate) not in (None, {name: entry.get(name) for name in _NEEDED.get(str(entry.get("kty")), ())}):
        yield found("B-JWKS", "the entry's key is not the certificate's (RFC 7517 section 4.7)")


def key_parameters(certificate: x509.Certificate) -> Json:
    """Give ``kty`` and the parameters of the certificate's key as a JWK has them. Raises ValueError for other kinds."""
    written = _written(certificate)
    if written is None:
        raise ValueError("this kind of key is not written as a JWK here")
    kind = {("n", "e"): "RSA", ("crv", "x", "y"): "EC", ("crv", "x"): "OKP"}[tuple(written)]
    return {"kty": kind, **written}


def _written(certificate: x509.Certificate) -> Json | None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"n": _number(numbers.n), "e": _number(numbers.e)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        point, size = key.public_numbers(), (key.curve.key_size + 7) // 8
        curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name)
        return {"crv": curve, "x": _number(point.x, size), "y": _number(point.y, size)} if curve else None
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"crv": "Ed25519", "x": _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    return None


def _number(value: int, size: int = 0) -> str:
    return _base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _content(document: Json) -> str:
    return json.dumps({key: value for key, value in document.items() if key != "spiffe_sequence"}, sort_keys=True)
