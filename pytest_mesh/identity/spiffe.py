"""SPIFFE IDs: one strict parser whose every refusal names the rule that it rests on (rows ID-*). Pure.

It does not normalise: an ID that needs lower-casing or decoding first is not one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES = 2048
"""ID-LEN-EMIT: nothing longer is issued."""
MAX_TRUST_DOMAIN_BYTES = 255
"""ID-TD-LEN."""

_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+")


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
        """Read a SPIFFE ID; raises :class:`SpiffeIdError` with the first rule that it breaks."""
        if not text.isascii():
            raise SpiffeIdError("ID-ASCII", f"{text!r} holds a character that is not ASCII")
        if len(text) > MAX_BYTES:
            raise SpiffeIdError("ID-LEN-EMIT", f"{len(text)} bytes, {MAX_BYTES} are the most")
        if not text.startswith(_SCHEME):
            raise SpiffeIdError("ID-SCHEME", f"{text!r} does not begin with {_SCHEME}")
        rest = text[len(_SCHEME) :]
        for mark, rule, name in (("?", "ID-NO-QUERY", "query"), ("#", "ID-NO-FRAGMENT", "fragment")):
            if mark in rest:
                raise SpiffeIdError(rule, f"{text!r} has a {name}")
        trust_domain, slash, path = rest.partition("/")
        _check_trust_domain(trust_domain, text)
        if slash:
            _check_path(path, text)
        return cls(trust_domain=trust_domain, path=slash + path)


def _check_trust_domain(name: str, text: str) -> None:
    if not name:
        raise SpiffeIdError("ID-TD-NONEMPTY", f"{text!r} has no trust domain")
    if "@" in name:
        raise SpiffeIdError("ID-TD-NO-USERINFO", f"{text!r} has user information")
    if ":" in name:
        raise SpiffeIdError("ID-TD-NO-PORT", f"{text!r} has a port, or an IPv6 address")
    if "%" in name:
        raise SpiffeIdError("ID-TD-NO-PCT", f"the trust domain of {text!r} is percent-encoded")
    if name != name.lower():
        raise SpiffeIdError("ID-TD-LOWER", f"the trust domain of {text!r} is not in lower case")
    if not _TRUST_DOMAIN.fullmatch(name):
        raise SpiffeIdError("ID-TD-CHARSET", f"the trust domain of {text!r} holds more than a-z 0-9 . - _")
    if len(name) > MAX_TRUST_DOMAIN_BYTES:
        raise SpiffeIdError("ID-TD-LEN", f"a trust domain of {len(name)} bytes, {MAX_TRUST_DOMAIN_BYTES} are the most")


def _check_path(path: str, text: str) -> None:
    if "%" in path:
        raise SpiffeIdError("ID-PATH-NO-PCT", f"the path of {text!r} is percent-encoded")
    if path.endswith("/") or not path:
        raise SpiffeIdError("ID-PATH-NO-TRAILING", f"{text!r} ends with a slash")
    for segment in path.split("/"):
        if not segment:
            raise SpiffeIdError("ID-PATH-NO-EMPTY-SEG", f"{text!r} has an empty path segment")
        if segment in {".", ".."}:
            raise SpiffeIdError("ID-PATH-NO-DOT-SEG", f"{text!r} has the path segment {segment!r}")
        if not _SEGMENT.fullmatch(segment):
            raise SpiffeIdError("ID-PATH-CHARSET", f"{text!r}: a path segment holds more than a-z A-Z 0-9 . - _")
