"""Small facts of every Kubernetes object: copies, times, uids, names.

Pure but for the clock and the random source of ``timestamp``, ``new_uid`` and ``generate_name``.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

T = TypeVar("T")

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own alphabet for generated names: no vowels, so no words."""

MAX_GENERATED = 63

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def copy(value: T) -> T:
    """Give a deep copy of a JSON value."""
    copied: T = orjson.loads(orjson.dumps(value))
    return copied


def timestamp(offset: float = 0) -> str:
    """Give the time, ``offset`` seconds from the moment, as metav1.Time has it."""
    return _timestamp_of(int(time.time() + offset))


@lru_cache(maxsize=16)
def _timestamp_of(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def new_uid() -> str:
    """Give a fresh object uid."""
    return str(uuid.uuid4())


def generate_name(base: str) -> str:
    """Give ``base`` with five random letters, cut so that it stays a DNS label."""
    return base[: MAX_GENERATED - 5] + "".join(random.choices(SUFFIX_LETTERS, k=5))  # noqa: S311 - a name, no secret


def at(obj: Json, path: str) -> Any:
    """Give what is at a dotted path, or None."""
    value: Any = obj
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def name_fault(name: str, rule: str) -> str | None:
    """Give why ``name`` breaks a rule (``label``, ``label1035``, ``subdomain``, ``path``), or None."""
    if rule == "path":
        bad = next((part for part in ("/", "%") if part in name), None)
        if name in (".", ".."):
            return f"may not be '{name}'"
        return None if bad is None else f"may not contain '{bad}'"
    pattern, limit, text = {
        "label": (_LABEL, 63, LABEL_RULE),
        "label1035": (_LABEL_1035, 63, LABEL_1035_RULE),
        "subdomain": (_SUBDOMAIN, 253, SUBDOMAIN_RULE),
    }[rule]
    if len(name) > limit:
        return f"must be no more than {limit} characters"
    return None if pattern.fullmatch(name) else text


def label_key_fault(key: str) -> str | None:
    """Give why ``key`` is no qualified name, or None."""
    if key.count("/") > 1:
        return (
            "a qualified name"
            + QUALIFIED_RULE.removeprefix("name part")
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return "prefix part must be non-empty"
    if prefix and (fault := name_fault(prefix, "subdomain")):
        return f"prefix part {fault}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return None if _QUALIFIED.fullmatch(name) else QUALIFIED_RULE


def label_value_fault(value: str) -> str | None:
    """Give why ``value`` is no label value, or None."""
    if len(value) > 63:
        return "must be no more than 63 characters"
    return None if _LABEL_VALUE.fullmatch(value) else LABEL_VALUE_RULE


def shown(value: Any) -> str:
    """Give a value as messages show it: JSON."""
    return orjson.dumps(value).decode()
