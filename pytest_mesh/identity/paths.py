"""Path validation of a presented chain against a trust bundle, by rule id. Pure: the instant is an argument.

RFC 5280 section 6.1 as far as SPIFFE needs it: signatures, names, time, CA
constraints and path length. An unknown critical extension is a finding. Name
constraints are refused, never ignored. ``cryptography``'s own verifier is not
used: it judges web server names, accepts two URI SANs and refuses a leaf
without an authority key identifier.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pytest_mesh.identity.findings import Finding

_KNOWN_CRITICAL = {
    x509.BasicConstraints.oid,
    x509.KeyUsage.oid,
    x509.ExtendedKeyUsage.oid,
    x509.SubjectAlternativeName.oid,
}


def check_chain(
    chain: Sequence[x509.Certificate],
    bundle: Sequence[x509.Certificate],
    *,
    at: datetime,
) -> list[Finding]:
    """Judge ``chain`` (leaf first; a root at its end is no fault) against ``bundle`` at the instant ``at`` (aware)."""
    if not chain:
        return [_must("PATH-ISSUER", "the chain is empty")]
    path = _path(chain, bundle)
    if path is None:
        issuer = chain[-1].issuer.rfc4514_string() or "(empty name)"
        return [_must("PATH-ISSUER", f"no certificate of the bundle issued the end of the chain, by {issuer}")]
    return [*_links(path), *(finding for index, cert in enumerate(path) for finding in _one(index, cert, at))]


def _path(chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate]) -> list[x509.Certificate] | None:
    """Cut the chain at the first element that a certificate of the bundle issued, and append that anchor."""
    for index, certificate in enumerate(chain):
        if index and certificate in bundle:
            return list(chain[: index + 1])
        for anchor in bundle:
            if certificate.issuer == anchor.subject and _signed(certificate, anchor):
                return [*chain[: index + 1], anchor] if certificate != anchor else list(chain[: index + 1])
    return None


def _links(path: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for child, issuer in itertools.pairwise(path):
        if child.issuer != issuer.subject:
            yield _must("PATH-ISSUER", f"issuer {child.issuer.rfc4514_string()!r} is not the next subject")
        elif not _signed(child, issuer):
            yield _must("PATH-SIG", f"the signature of serial {child.serial_number:x} does not verify")


def _one(index: int, certificate: x509.Certificate, at: datetime) -> Iterator[Finding]:
    what = "leaf" if index == 0 else f"issuer {index}"
    if at < certificate.not_valid_before_utc:
        yield _must("PATH-TIME", f"{what} is not valid before {certificate.not_valid_before_utc:%FT%TZ}")
    if at > certificate.not_valid_after_utc:
        yield _must("PATH-TIME", f"{what} expired at {certificate.not_valid_after_utc:%FT%TZ}")
    for extension in certificate.extensions:
        if extension.critical and extension.oid == x509.NameConstraints.oid:
            yield _must("PATH-NC", f"{what} has name constraints, which this judge does not evaluate")
        elif extension.critical and extension.oid not in _KNOWN_CRITICAL:
            yield _must("PATH-CRIT-UNKNOWN", f"{what} has an unknown critical extension {extension.oid.dotted_string}")
    if index:
        yield from _issuer(index, certificate)


def _issuer(index: int, certificate: x509.Certificate) -> Iterator[Finding]:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = x509.BasicConstraints(ca=False, path_length=None)
    if not basic.ca:
        yield _must("PATH-BC", f"issuer {index} is no CA")
    elif basic.path_length is not None and index - 1 > basic.path_length:
        yield _must("PATH-LEN", f"issuer {index} allows {basic.path_length} CAs below it, there are {index - 1}")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        yield _must("PATH-KU", f"issuer {index} has keyUsage without keyCertSign")


def _signed(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _must(rule: str, message: str) -> Finding:
    return Finding(rule=rule, level="must", message=message)
