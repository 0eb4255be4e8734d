"""Takes secrets out of whatever is written for people: Secret data, private keys, tokens, credentials. Pure."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Collection, Iterable
from typing import Any

GONE = "[redacted]"

_PATTERNS = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # JSON Web Tokens: base64 of '{"' twice, then a signature.
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    # A private key in base64 of PEM, as Secrets and kubeconfigs hold it.
    re.compile(r"\bLS0tLS1CRUdJTi[A-Za-z0-9+/]*(?:UFJJVkFURSBLRV|QUklWQVRFIEtFW|BSSVZBVEUgS0VZ)[A-Za-z0-9+/=]*"),
)
_NAMED = re.compile(
    r"""(?ix) ( (?:(?:password|passwd|secret|token|credential|cookie|api[_-]?key|client-key-data)) ["']?
        \s* [:=] \s* ) ( "(?:[^"\\]|\\.)+" | '[^']+' | [^\s,;"'\[{}\]]{6,} )"""
)
# A header as Python and JSON show it in a pair: ('cookie', '...').
_PAIR = re.compile(
    r"""(?ix) ( ["'] (?:authorization|proxy-authorization|cookie|set-cookie) ["'] \s* [:,] \s* ["'] ) ([^"']+)"""
)
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+([A-Za-z0-9._~+/=-]{6,})")
_SHORTEST = 6
"""Characters of the shortest value that is searched for by itself."""
_LONG = 12
"""Characters from which on a value that a name points at is searched for by itself: shorter ones may be plain words."""
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


def redact_text(text: str) -> str:
    """Give text without what looks like a secret."""
    for pattern in _PATTERNS:
        text = pattern.sub(GONE, text)
    text = _AUTHORIZATION.sub(rf"\1 {GONE}", text)
    text = _PAIR.sub(rf"\1{GONE}", text)
    return _NAMED.sub(rf"\1{GONE}", text)


def named_values(text: str) -> frozenset[str]:
    """Give the values that names point at (``token: ...``), for places that lost the name: pytest cuts long values."""
    found = {value.strip("\"'") for pattern in (_NAMED, _PAIR) for _, value in pattern.findall(text)}
    found |= {value for _, value in _AUTHORIZATION.findall(text)}
    return frozenset(one for one in found if len(one) >= _LONG and any(map(str.isdigit, one)))


def redact(value: Any) -> Any:
    """Give JSON without secrets: a Secret's data, named fields, header pairs, and patterns in every string."""
    if isinstance(value, dict):
        if value.get("kind") == "Secret":
            hidden = {key: dict.fromkeys(value[key] or {}, GONE) for key in ("data", "stringData") if key in value}
            value = {**value, **hidden}
            metadata = dict(value.get("metadata") or {})
            metadata.pop("annotations", None)  # last-applied holds the data once more
            value["metadata"] = metadata
        return {key: GONE if _is_secret(key, item) else redact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and isinstance(value[0], str) and value[0].lower() in _SECRET_HEADERS:
            return [value[0], GONE]
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def secret_values(documents: Iterable[Any]) -> frozenset[str]:
    """Give every value that Secrets among these documents hold, as it stands and decoded; short ones are left out."""
    found = set()
    for document in documents:
        if not (isinstance(document, dict) and document.get("kind") == "Secret"):
            continue
        for value in (document.get("stringData") or {}).values():
            found |= {str(value), base64.b64encode(str(value).encode()).decode()}
        for value in (document.get("data") or {}).values():
            found.add(str(value))
            with contextlib.suppress(ValueError):
                found.add(base64.b64decode(str(value)).decode())
    return frozenset(value for value in found if len(value) >= _SHORTEST)


def without(text: str, values: Iterable[str]) -> str:
    """Give text without these very strings."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, GONE)
    return text


def clean_text(text: str, values: Iterable[str]) -> str:
    """Give text without what looks like a secret and without these very strings."""
    return without(redact_text(text), values)


def clean(value: Any, values: Collection[str]) -> Any:
    """Give JSON without secrets (``redact``) and without these very strings, keys included."""
    if isinstance(value, dict):
        return {without(str(key), values): clean(item, values) for key, item in redact(value).items()}
    if isinstance(value, (list, tuple)):
        return [clean(item, values) for item in redact(value)]
    return clean_text(value, values) if isinstance(value, str) else value


def _is_secret(key: str, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    name = key.lower()
    if name in {"secretname", "secret_name", "token_path", "tokenpath"}:
        return False
    return name in {*_SECRET_HEADERS, "password", "passwd", "token", "private_key", "privatekey", "inline_bytes"} or (
        name.endswith(("-key-data", "_token", "password"))
    )
