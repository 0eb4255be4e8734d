"""SPIFFE IDs: one strict reader whose every refusal names the rule that it rests on (rows ID-*). Pure.

It does not normalise: an ID that needs lower-casing or decoding first is not one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_mesh.identity.findings import Finding, one_per_rule, violations
from pytest_mesh.identity.rules import found

MAX_BYTES = 2048
"""ID-LEN-EMIT: nothing longer is issued."""
MAX_TRUST_DOMAIN_BYTES = 255
"""ID-TD-LEN."""

_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+")
_SHOWN = 120
"""Characters of a text that a message repeats."""


class SpiffeIdError(ValueError):
    """A string that is no SPIFFE ID; ``rule`` is the id of the rule that it breaks (``ID-TD-LOWER``)."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class SpiffeId:
    """A SPIFFE ID in its parts; ``path`` begins with ``/``, or is empty for a trust domain's own ID."""

    trust_domain: str
    path: str = ""

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Read a SPIFFE ID; raises :class:`SpiffeIdError` with the first MUST that it breaks."""
        for finding in violations(check_id(text)):
            raise SpiffeIdError(finding.rule, finding.message)
        trust_domain, slash, path = text[len(_SCHEME) :].partition("/")
        return cls(trust_domain=trust_domain, path=slash + path)


def check_id(text: str) -> list[Finding]:
    """Judge a string as a SPIFFE ID: every rule that it breaks, each once; empty when it is one."""
    return one_per_rule(_all(text))


def same(one: str, other: str) -> bool:
    """Compare two IDs: scheme and trust domain without case, the path with it (ID-CASE-TD, ID-CASE-PATH)."""
    return _folded(one) == _folded(other)


def _folded(text: str) -> tuple[str, str, str]:
    scheme, _, rest = text.partition("://")
    trust_domain, slash, path = rest.partition("/")
    return scheme.lower(), trust_domain.lower(), slash + path


def _all(text: str) -> Iterator[Finding]:
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
    seen = shown[1:-1]

    def wrong(rule: str, message: str) -> Finding:
        return found(rule, message, field="id", seen=seen)

    if not text.isascii():
        yield wrong("ID-ASCII", f"{shown} holds a character that is not ASCII")
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        yield wrong("ID-LEN-EMIT", f"{size} bytes, {MAX_BYTES} are the most")
    if not text.startswith(_SCHEME):
        yield wrong("ID-SCHEME", f"{shown} does not begin with {_SCHEME}")
        return
    rest = text[len(_SCHEME) :]
    before_fragment, fragment, _ = rest.partition("#")
    before_query, query, _ = before_fragment.partition("?")
    if query:
        yield wrong("ID-NO-QUERY", f"{shown} has a query")
    if fragment:
        yield wrong("ID-NO-FRAGMENT", f"{shown} has a fragment")
    trust_domain, slash, path = before_query.partition("/")
    for rule, message in _trust_domain(trust_domain):
        yield wrong(rule, f"{shown}: {message}")
    if slash:
        for rule, message in _path(path):
            yield wrong(rule, f"{shown}: {message}")


def _trust_domain(name: str) -> Iterator[tuple[str, str]]:
    _, at, host = name.rpartition("@")
    if at:
        yield "ID-TD-NO-USERINFO", "user information before the trust domain"
    if host.startswith("["):
        yield "ID-TD-OPAQUE", "an IPv6 address is no trust domain"
        return
    host, colon, _ = host.partition(":")
    if colon:
        yield "ID-TD-NO-PORT", "a port after the trust domain"
    if not host:
        yield "ID-TD-NONEMPTY", "no trust domain"
        return
    if "%" in host:
        yield "ID-TD-NO-PCT", "the trust domain is percent-encoded"
    lowered = "".join(letter.lower() if letter.isascii() else letter for letter in host)
    if host != lowered:
        yield "ID-TD-LOWER", "the trust domain is not in lower case"
    plain = "".join(letter for letter in lowered if letter.isascii() and letter != "%")
    if plain and not _TRUST_DOMAIN.fullmatch(plain):
        yield "ID-TD-CHARSET", "the trust domain holds more than a-z 0-9 . - _"
    if len(host) > MAX_TRUST_DOMAIN_BYTES:
        yield "ID-TD-LEN", f"a trust domain of {len(host)} bytes, {MAX_TRUST_DOMAIN_BYTES} are the most"


def _path(path: str) -> Iterator[tuple[str, str]]:
    if "%" in path:
        yield "ID-PATH-NO-PCT", "the path is percent-encoded"
    segments = path.split("/")
    if not segments[-1]:
        yield "ID-PATH-NO-TRAILING", "a slash at the end"
        segments = segments[:-1]
    for segment in segments:
        plain = "".join(letter for letter in segment if letter.isascii() and letter != "%")
        if not segment:
            yield "ID-PATH-NO-EMPTY-SEG", "an empty path segment"
        elif segment in {".", ".."}:
            yield "ID-PATH-NO-DOT-SEG", f"the path segment {segment!r}"
        elif plain and not _SEGMENT.fullmatch(plain):
            yield "ID-PATH-CHARSET", "a path segment holds more than a-z A-Z 0-9 . - _"
