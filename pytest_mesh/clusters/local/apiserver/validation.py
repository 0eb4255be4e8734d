"""Validates an instance of a CRD against its OpenAPI schema, in the API server's own words. Pure.

CEL rules are ``cel``'s; pruning and defaults have happened before (``structural``).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver.errors import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INVALID, REQUIRED, UNSUPPORTED = "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported"
TYPE_INVALID, TOO_LONG, TOO_MANY, DUPLICATE = (
    "FieldValueTypeInvalid",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueDuplicate",
)


def validate(value: Any, schema: Any, path: str = "") -> list[Cause]:
    """Give every fault of ``value``, in the order of its fields."""
    return list(_value(value, schema, path))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if value is None:
        return "null"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _fits(kind: str, wanted: str, value: Any) -> bool:
    return (
        kind == wanted
        or (wanted == "number" and kind == "integer")
        or (wanted == "integer" and isinstance(value, float) and value.is_integer())
    )


def _bad(path: str, value: Any, text: str, reason: str = INVALID) -> Cause:
    shown = '"' + _type_of(value) + '"' if isinstance(value, (dict, list)) else _shown(value)
    return Cause(field=path or "<nil>", message=f"Invalid value: {shown}: {text}", reason=reason)


def _composite(path: str, text: str) -> Cause:
    """A fault that Kubernetes finds in no one field: the path stands in its text."""
    return Cause(field="<nil>", message=f'Invalid value: "": "{path}" {text}', reason=INVALID)


def _value(value: Any, schema: Any, path: str) -> Iterator[Cause]:
    body = f"{path} in body" if path else "in body"
    kind = _type_of(value)
    if value is None:
        if not schema.get("nullable") and ("type" in schema or schema.get("x-kubernetes-int-or-string")):
            wanted = schema.get("type", "integer or string")
            yield Cause(
                field=path,
                message=f'Invalid value: "null": {body} must be of type {wanted}: "null"',
                reason=TYPE_INVALID,
            )
        return
    if schema.get("x-kubernetes-int-or-string"):
        if kind not in ("integer", "string"):
            yield Cause(
                field=path,
                message=f'Invalid value: "{kind}": {body} must be of type integer,string: "{kind}"',
                reason=TYPE_INVALID,
            )
            return
    elif "type" in schema and not _fits(kind, schema["type"], value):
        yield Cause(
            field=path,
            message=f'Invalid value: "{kind}": {body} must be of type {schema["type"]}: "{kind}"',
            reason=TYPE_INVALID,
        )
        return
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(_shown(item) for item in schema["enum"])
        yield Cause(
            field=path, message=f"Unsupported value: {_shown(value)}: supported values: {allowed}", reason=UNSUPPORTED
        )
    if kind == "string":
        yield from _string(value, schema, path, body)
    elif kind in ("integer", "number"):
        yield from _number(value, schema, path, body)
    elif kind == "array":
        yield from _array(value, schema, path, body)
    elif kind == "object":
        yield from _object(value, schema, path, body)
    yield from _combined(value, schema, path)


def _string(value: str, schema: Any, path: str, body: str) -> Iterator[Cause]:
    limit = schema.get("maxLength")
    if limit is not None and len(value) > limit:
        yield Cause(field=path, message=f"Too long: may not be more than {limit} bytes", reason=TOO_LONG)
    if len(value) < schema.get("minLength", 0):
        yield _bad(path, value, f"{body} should be at least {schema['minLength']} chars long")
    pattern = schema.get("pattern")
    if pattern is not None and not _compiled(pattern).search(value):
        yield _bad(path, value, f"{body} should match '{pattern}'")
    name = schema.get("format")
    if name in _FORMATS and not _FORMATS[name](value):
        yield _bad(path, value, f"{body} must be of type {name}: {_shown(value)}", TYPE_INVALID)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern written for Go's RE2, in which ``$`` is the very end and ``\z`` says so too."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern.replace(r"\z", r"\Z")))


def _number(value: float, schema: Any, path: str, body: str) -> Iterator[Cause]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        if schema.get("exclusiveMinimum") is True and value <= low:
            yield _bad(path, value, f"{body} should be greater than {low}")
        elif value < low:
            yield _bad(path, value, f"{body} should be greater than or equal to {low}")
    if high is not None:
        if schema.get("exclusiveMaximum") is True and value >= high:
            yield _bad(path, value, f"{body} should be less than {high}")
        elif value > high:
            yield _bad(path, value, f"{body} should be less than or equal to {high}")
    multiple = schema.get("multipleOf")
    if multiple and (value / multiple) % 1:
        yield _bad(path, value, f"{body} should be a multiple of {multiple}")
    bits = {"int32": 31, "int64": 63, "uint32": 32, "uint64": 64}.get(schema.get("format", ""))
    if bits and not (0 if schema["format"].startswith("u") else -(1 << bits)) <= value < 1 << bits:
        yield _bad(path, value, f"{body} must be of type {schema['format']}: {_shown(value)}")


def _array(value: list[Any], schema: Any, path: str, body: str) -> Iterator[Cause]:
    limit = schema.get("maxItems")
    if limit is not None and len(value) > limit:
        yield Cause(field=path, message=f"Too many: {len(value)}: must have at most {limit} items", reason=TOO_MANY)
    if len(value) < schema.get("minItems", 0):
        yield _bad(path, len(value), f"{body} should have at least {schema['minItems']} items")
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _value(item, items, f"{path}[{index}]")
    yield from _duplicates(value, schema, path)


def _duplicates(value: list[Any], schema: Any, path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: set[str] = set()
    if kind not in ("set", "map") and not schema.get("uniqueItems"):
        return
    for index, item in enumerate(value):
        identity = item
        if kind == "map" and isinstance(item, dict):
            properties = schema.get("items", {}).get("properties", {})
            identity = {key: item.get(key, properties.get(key, {}).get("default")) for key in keys}
        text = _shown(identity)
        if text in seen:
            yield Cause(field=f"{path}[{index}]", message=f"Duplicate value: {text}", reason=DUPLICATE)
        seen.add(text)


def _object(value: dict[str, Any], schema: Any, path: str, body: str) -> Iterator[Cause]:
    prefix = f"{path}." if path else ""
    for name in schema.get("required", ()):
        if name not in value:
            yield Cause(field=f"{prefix}{name}", message="Required value", reason=REQUIRED)
    limit = schema.get("maxProperties")
    if limit is not None and len(value) > limit:
        yield Cause(field=path, message=f"Too many: {len(value)}: must have at most {limit} items", reason=TOO_MANY)
    if len(value) < schema.get("minProperties", 0):
        yield _bad(path, len(value), f"{body} should have at least {schema['minProperties']} properties")
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for name, inner in value.items():
        if name in properties:
            yield from _value(inner, properties[name], f"{prefix}{name}")
        elif isinstance(additional, dict):
            yield from _value(inner, additional, f"{prefix}{name}")
    if schema.get("x-kubernetes-embedded-resource"):
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                yield Cause(field=f"{prefix}{name}", message="Required value: must not be empty", reason=REQUIRED)


def _combined(value: Any, schema: Any, path: str) -> Iterator[Cause]:
    for inner in schema.get("allOf", ()):
        yield from _value(value, inner, path)
    any_of = schema.get("anyOf")
    if any_of and not schema.get("x-kubernetes-int-or-string") and all(validate(value, s, path) for s in any_of):
        yield _composite(path, "must validate at least one schema (anyOf)")
        yield from next(iter(_closest(value, any_of, path)), [])
    one_of = schema.get("oneOf")
    if one_of:
        matching = sum(not validate(value, inner, path) for inner in one_of)
        if matching != 1:
            found = "Found none valid" if not matching else f"Found {matching} valid alternatives"
            yield _composite(path, f"must validate one and only one schema (oneOf). {found}")
            if not matching:
                yield from next(iter(_closest(value, one_of, path)), [])
    inner = schema.get("not")
    if inner and not validate(value, inner, path):
        yield _composite(path, "must not validate the schema (not)")


def _closest(value: Any, alternatives: list[Any], path: str) -> list[list[Cause]]:
    """Give the faults of each alternative, the one with the fewest first."""
    return sorted((validate(value, inner, path) for inner in alternatives), key=len)


def _is_time(value: str) -> bool:
    try:
        dt.datetime.fromisoformat(value)
    except ValueError:
        return False
    return "T" in value.upper()


def _is_date(value: str) -> bool:
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_address(value: str, kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> bool:
    try:
        kind(value)
    except ValueError:
        return False
    return True


_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)?(\d+(\.\d*)?(ns|us|µs|μs|ms|s|m|h))*")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")

_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_time,
    "date": _is_date,
    "ipv4": lambda value: _is_address(value, ipaddress.IPv4Address),
    "ipv6": lambda value: _is_address(value, ipaddress.IPv6Address),
    "uuid": lambda value: _UUID.fullmatch(value) is not None,
    "byte": lambda value: _BASE64.fullmatch(value) is not None,
    "duration": lambda value: _DURATION.fullmatch(value.replace(" ", "")) is not None,
}
"""The formats that Kubernetes checks and this server knows; others are accepted as Kubernetes accepts unknown ones."""
