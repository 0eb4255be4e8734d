"""Distinguished names as RFC 5280 section 7.1 compares them: without case, runs of blanks as one. Pure."""

from __future__ import annotations

import warnings

from cryptography import x509

Canonical = tuple[frozenset[tuple[str, str]], ...]


def canonical(name: x509.Name) -> Canonical:
    """Give a value that is equal for names that RFC 5280 holds to be equal, whatever their string types."""
    return tuple(frozenset((part.oid.dotted_string, _folded(part.value)) for part in rdn) for rdn in name.rdns)


def within(name: x509.Name, subtree: x509.Name) -> bool:
    """Say whether ``name`` begins with all of ``subtree``."""
    top = canonical(subtree)
    return canonical(name)[: len(top)] == top


def _folded(value: str | bytes) -> str:
    text = value if isinstance(value, str) else value.hex()
    return " ".join(text.lower().split())


def subject(certificate: x509.Certificate) -> x509.Name:
    """Give the subject, without the library's warning about an attribute that is longer than its bound."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return certificate.subject


def issuer(certificate: x509.Certificate) -> x509.Name:
    """Give the issuer, as :func:`subject` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return certificate.issuer
