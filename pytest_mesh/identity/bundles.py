"""SPIFFE bundles as a consumer reads them: which authorities they hold, and what was passed over. Pure.

What a publisher does wrong is judged in ``bundle_rules``; a consumer passes
over what it does not know and uses the rest.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography import x509

from pytest_mesh.identity.reading import UnreadableError, load

MAX_BYTES = 4 * 1024 * 1024
KNOWN_KEY_TYPES = ("EC", "RSA", "OKP")
X509_USE = "x509-svid"

Json = dict[str, Any]


class BundleError(ValueError):
    """A document that is no bundle at all; ``rule`` is the id of the rule that it breaks."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


class DuplicateKeyError(ValueError):
    """An object names one key twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The authorities of one trust domain for X509-SVIDs."""

    authorities: tuple[x509.Certificate, ...]
    sequence: int | None = None
    refresh_hint: int | None = None
    """Seconds; None when the publisher gives none that can be used."""
    passed_over: tuple[str, ...] = field(default=())
    """Why an entry, by its index, was not used."""


def read_bundle(text: str | bytes) -> Bundle:
    """Read one trust domain's bundle. Raises BundleError when it is no JWK set."""
    return _bundle(_document(text))


def read_bundle_map(text: str | bytes) -> tuple[dict[str, Bundle], int | None]:
    """Read a map of bundles by trust domain, and its refresh hint, the only one that counts. Raises BundleError."""
    document = _document(text)
    domains = document.get("trust_domains")
    if not isinstance(domains, dict) or not all(isinstance(one, dict) for one in domains.values()):
        raise BundleError("BM-MAP", "trust_domains is missing, or is no object of bundles")
    return {name: _bundle(one) for name, one in domains.items()}, _whole(document.get("spiffe_refresh_hint"))


def parse_json(text: str | bytes) -> Json:
    """Parse a JSON object. Raises BundleError (B-JWKS; FED-UTF8) and DuplicateKeyError."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise BundleError("B-JWKS", f"{len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise BundleError("FED-UTF8", f"no UTF-8 at byte {error.start}") from error
    except DuplicateKeyError:
        raise
    except (ValueError, RecursionError) as error:
        raise BundleError("B-JWKS", f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BundleError("B-JWKS", "no JSON object")
    return cast(Json, document)


def entries(document: Mapping[str, Any]) -> list[Json]:
    """Give the entries of a JWK set. Raises BundleError."""
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise BundleError("B-JWKS", "keys is missing, or is no list")
    return [entry if isinstance(entry, dict) else {} for entry in keys]


def certificate_of(entry: Json) -> x509.Certificate:
    """Give the first certificate of an entry's ``x5c``. Raises UnreadableError."""
    values = entry.get("x5c")
    if not isinstance(values, list) or not values:
        raise UnreadableError("x5c is missing or empty")
    if not isinstance(values[0], str):
        raise UnreadableError("x5c holds something that is no string")
    try:
        return load(base64.b64decode(values[0].encode(), validate=True))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise UnreadableError(f"x5c is no base64: {error}") from error


def _document(text: str | bytes) -> Json:
    try:
        return parse_json(text)
    except DuplicateKeyError as error:
        raise BundleError("BM-DUP", str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    seen: Json = {}
    for key, value in pairs:
        if key in seen:
            raise DuplicateKeyError(f"the key {key[:80]!r} is there twice")
        seen[key] = value
    return seen


def _bundle(document: Json) -> Bundle:
    authorities, passed_over = [], []
    for index, (certificate, why) in enumerate(_authorities(document)):
        if certificate is not None:
            authorities.append(certificate)
        else:
            passed_over.append(f"keys[{index}]: {why}")
    return Bundle(
        authorities=tuple(authorities),
        sequence=_whole(document.get("spiffe_sequence")),
        refresh_hint=_whole(document.get("spiffe_refresh_hint")),
        passed_over=tuple(passed_over),
    )


def _authorities(document: Json) -> Iterator[tuple[x509.Certificate | None, str]]:
    for entry in entries(document):
        if entry.get("kty") not in KNOWN_KEY_TYPES:
            yield None, f"kty {entry.get('kty')!r} is not known"
        elif entry.get("use") != X509_USE:
            yield None, f"use {entry.get('use')!r} is not {X509_USE}"
        else:
            try:
                yield certificate_of(entry), ""
            except UnreadableError as error:
                yield None, str(error)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
