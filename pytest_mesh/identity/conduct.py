"""Judges what others do with identities: a validator, a comparison of IDs, a consumer of bundles. Pure.

Each is given as a function; this module shows it what a rule is about and
compares its answer. How the function reaches a mesh is its own business.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pytest_mesh.identity.bundle_rules import key_parameters
from pytest_mesh.identity.findings import Finding, one_per_rule
from pytest_mesh.identity.presentations import Presentation
from pytest_mesh.identity.rules import found

Json = dict[str, object]


def check_validator(shown: Iterable[Presentation], admits: Callable[[Presentation], bool]) -> list[Finding]:
    """Judge a validator by what it lets in; one finding for each rule that it breaks."""
    findings = []
    for one in shown:
        if (answer := admits(one)) != one.admit:
            verb = "let in" if answer else "refused"
            findings.append(found(one.rule, f"{one.what}: {verb}", field="verdict", seen=verb))
    return one_per_rule(findings)


def check_comparison(same: Callable[[str, str], bool]) -> list[Finding]:
    """Judge a comparison of two SPIFFE IDs: ID-CASE-TD, ID-CASE-PATH."""
    one = "spiffe://example.org/sa/Foo"
    cases = (
        ("ID-CASE-TD", one, "spiffe://Example.ORG/sa/Foo", True),
        ("ID-CASE-TD", one, "SPIFFE://example.org/sa/Foo", True),
        ("ID-CASE-TD", one, "spiffe://example.com/sa/Foo", False),
        ("ID-CASE-PATH", one, "spiffe://example.org/sa/foo", False),
        ("ID-CASE-PATH", one, one, True),
    )
    return one_per_rule(
        found(rule, f"{left} and {right} are {'the same' if equal else 'different'}", seen=not equal)
        for rule, left, right, equal in cases
        if same(left, right) != equal
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a consumer takes from a bundle, or from a map for one trust domain; nothing when it refuses it all."""

    authorities: frozenset[bytes]
    """DER."""
    refresh_hint: int | None = None


Consumer = Callable[[str, str], Taken | None]
"""(document, trust domain in a map, or empty for one bundle) to what is taken; None is a refusal of the document."""


def check_consumer(consume: Consumer, one: x509.Certificate, other: x509.Certificate) -> list[Finding]:
    """Judge a consumer of bundles with two certificates of authorities that it may take."""
    findings = []
    for rule, what, document, domain, wanted in _documents(one, other):
        taken = consume(json.dumps(document), domain)
        if taken != wanted:
            seen = "refused" if taken is None else f"{len(taken.authorities)} keys, refresh {taken.refresh_hint}"
            findings.append(found(rule, f"{what}: {seen}", field="keys", seen=seen, level="must"))
    return one_per_rule(findings)


def entry(*certificates: x509.Certificate) -> Json:
    """Write the JWK of an authority; with several certificates, wrongly, all of them in its ``x5c``."""
    ders = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]
    return {**key_parameters(certificates[0]), "use": "x509-svid", "x5c": ders}


def _documents(one: x509.Certificate, other: x509.Certificate) -> Iterator[tuple[str, str, Json, str, Taken]]:
    first, second = entry(one), entry(other)
    only = Taken(authorities=frozenset({one.public_bytes(Encoding.DER)}), refresh_hint=300)
    frame: Json = {"spiffe_sequence": 1, "spiffe_refresh_hint": 300}

    def bundle(*keys: Json, **more: object) -> Json:
        return {**frame, "keys": list(keys), **more}

    without_x5c = {key: value for key, value in second.items() if key != "x5c"}
    without_use = {key: value for key, value in second.items() if key != "use"}
    yield "B-EXTRA-PARAM", "parameters that nobody knows", bundle({**first, "x_more": [1]}, x_more={"a": 1}), "", only
    plain: Json = {"keys": [first]}
    yield "B-EXTRA-PARAM", "no parameter but keys", plain, "", Taken(authorities=only.authorities)
    yield "B-UNKNOWN-KEY", "an unknown kty", bundle(first, {**second, "kty": "PQC"}), "", only
    yield "B-UNKNOWN-KEY", "an unknown use", bundle(first, {**second, "use": "sig"}), "", only
    yield "B-UNKNOWN-KEY", "no use", bundle(first, without_use), "", only
    yield "B-UNKNOWN-KEY", "use in another case", bundle(first, {**second, "use": "X509-SVID"}), "", only
    yield "B-X5C-MISSING", "no x5c", bundle(first, without_x5c), "", only
    yield "B-X5C-MISSING", "an empty x5c", bundle(first, {**second, "x5c": []}), "", only
    yield "B-X5C-MANY", "two certificates in x5c", bundle(entry(one, other)), "", only
    hinted = bundle(first, spiffe_refresh_hint=5)
    yield (
        "BM-REFRESH",
        "a map's bundle with a hint",
        {**frame, "trust_domains": {"a.example": hinted}},
        "a.example",
        only,
    )
