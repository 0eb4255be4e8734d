"""Takes out of an answer what differs between two runs of one server: uids, times, versions, addresses, tokens. Pure."""

from __future__ import annotations

import re
from typing import Any

WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
        (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<made>"),
        (r"Bad_[bcdfghjklmnpqrstvwxz2456789]{5}\b", "Bad_<made>"),
        (r"made-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "made-<made>"),
        (r"\b10\.96\.\d+\.\d+\b", "<address>"),
        (r"in record \(\d+\)", "in record (<version>)"),
        (r"^\d+s$", "<age>"),
        (r"current: \d+", "current: <version>"),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
        (r"127\.0\.0\.1:\d+|10\.244\.0\.1:6443|\d+\.\d+\.\d+\.\d+:\d{4,5}", "<server>"),
        (r'Invalid value: "\{\\"apiVersion.*\}": ', 'Invalid value: "<object>": '),
        (r'Invalid value: "\{\\"kind.*\}": ', 'Invalid value: "<object>": '),
        (r"(Precondition failed: .*|precondition \()\d+", r"\1<version>"),
    )
)
FIELDS = {
    "resourceVersion": "<version>",
    "continue": "<continue>",
    "nodePort": "<port>",
    "healthCheckNodePort": "<port>",
}
CAUTION = "the embedded cluster stores this "
"""The beginning of warnings that only the embedded cluster gives, on purpose: they are not compared."""


def normalised(value: Any) -> Any:
    """Give a decoded answer with everything of one run replaced by words."""
    if isinstance(value, dict):
        return {words(name): _field(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [normalised(inner) for inner in value]
    return words(value) if isinstance(value, str) else value


def _field(name: str, value: Any) -> Any:
    if name == "managedFields" and isinstance(value, list):
        # They are ordered by time, in whole seconds: that is one of a run's own matters too.
        return sorted((normalised(entry) for entry in value), key=_entry)
    if name == "causes" and all(
        isinstance(one, dict) and one.get("reason") == "FieldManagerConflict" for one in value or ()
    ):
        # Go walks through the managers as its map has them.
        return sorted((normalised(one) for one in value or ()), key=lambda one: (one["message"], one["field"]))
    if name in FIELDS and isinstance(value, str | int) and value not in ("", "0", 0):
        return FIELDS[name]
    return normalised(value)


def _entry(entry: Any) -> tuple[str, ...]:
    return tuple(str(entry.get(name, "")) for name in ("operation", "manager", "subresource", "apiVersion"))


def words(text: str) -> str:
    """Give a text with everything of one run replaced."""
    for pattern, replacement in WORDS:
        text = pattern.sub(replacement, text)
    return text


def picked(value: Any, paths: tuple[str, ...]) -> Any:
    """Give only what is at dotted paths; ``[]`` after a name = of each item."""
    return value if not paths else {path: at(value, path) for path in paths}


def at(value: Any, path: str) -> Any:
    """Give what is at a dotted path, None where there is nothing."""
    name, _, rest = path.partition(".")
    each = name.endswith("[]")
    name = name.removesuffix("[]")
    if isinstance(value, list):
        inner = value[int(name)] if name.isdigit() and int(name) < len(value) else None
    else:
        inner = value.get(name) if isinstance(value, dict) else None
    if each and isinstance(inner, list):
        return [at(item, rest) if rest else item for item in inner]
    return at(inner, rest) if rest and inner is not None else inner
