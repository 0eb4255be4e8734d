"""Does a value have the shape that its type says? Pure; the first gate of validation.

It reports unknown fields, wrong types, unknown names and doubly set oneofs, each in the words with which an API
server refuses it by the CRD's schema, and in our own in brackets. It does not judge values of the right shape.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mesh_reference.model.schema.duration import parse_duration
from mesh_reference.model.schema.types import (
    Binary,
    Choice,
    Duration,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Message,
    Number,
    Rule,
    Text,
    Type,
)

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One place where value and type disagree. ``rule`` is an id such as ``unknown-field``."""

    path: Path
    rule: str
    message: str


def misfits(value: Any, expected: Type, path: Path) -> Iterator[Misfit]:
    """Every disagreement below the path, in document order. A null field counts as unset."""
    match expected:
        case Message():
            yield from _message(value, expected, path)
        case ListOf():
            yield from _list(value, expected, path)
        case MapOf():
            yield from _map(value, expected, path)
        case Choice():
            yield from _choice(value, expected, path)
        case _:
            problem = _scalar_problem(value, expected)
            if problem and isinstance(expected, Duration) and isinstance(value, str):
                yield _unread(path, expected.rules, problem)
            elif problem:
                yield Misfit(path=path, rule="wrong-type", message=problem)
            elif isinstance(expected, Text) and expected.at_most is not None and len(value) > expected.at_most:
                message = f"Too long: may not be more than {expected.at_most} bytes (it has {len(value)} characters)"
                yield Misfit(path=path, rule="too-many", message=message)


def _message(value: Any, expected: Message, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield _other_type(value, path, "object", f"want {expected.name}'s fields, have {_sort(value)}")
        return
    for name, item in value.items():
        here = (*path, name)
        if name not in expected.fields:
            hint = _nearest(name, expected)
            message = f'unknown field "{_written(here)}" ({expected.name} has no such field{hint})'
            yield Misfit(path=here, rule="unknown-field", message=message)
        elif item is not None:
            yield from misfits(item, expected.fields[name], here)
    for group in expected.one_of:
        given = [name for name in value if name in group and value[name] is not None]
        if len(given) > 1:
            message = (
                f"must validate one and only one schema (oneOf). Found {len(given)} valid alternatives "
                f"(only one of {', '.join(group)} may be set, have {' and '.join(given)})"
            )
            yield Misfit(path=path, rule="one-of", message=message)


def _list(value: Any, expected: ListOf, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, list):
        yield _other_type(value, path, "array", f"want a list, have {_sort(value)}")
        return
    yield from _size(value, expected.at_most, path)
    for index, item in enumerate(value):
        if item is None:
            yield _null((*path, index), expected.item)
        else:
            yield from misfits(item, expected.item, (*path, index))


def _map(value: Any, expected: MapOf, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield _other_type(value, path, "object", f"want a map, have {_sort(value)}")
        return
    yield from _size(value, expected.at_most, path)
    for name, item in value.items():
        if expected.key == "port" and not (name.isascii() and name.isdigit() and int(name) < 2**32):
            yield _unread((*path, name), expected.rules, f"want a port's number as key, have {_quote(name)}")
        elif item is not None:
            yield from misfits(item, expected.value, (*path, name))


def _size(value: Any, at_most: int | None, path: Path) -> Iterator[Misfit]:
    if at_most is not None and len(value) > at_most:
        message = f"Too many: {len(value)}: must have at most {at_most} items"
        yield Misfit(path=path, rule="too-many", message=message)


def _choice(value: Any, expected: Choice, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, str):
        yield _other_type(value, path, "string", f"want one of {', '.join(expected.names)}{_quoting_hint(value)}")
    elif value not in expected.names:
        known = ", ".join(_quote(name) for name in expected.names)
        message = f"Unsupported value: {_quote(value)}: supported values: {known}"
        yield Misfit(path=path, rule="unknown-name", message=message)


def _other_type(value: Any, path: Path, wanted: str, hint: str) -> Misfit:
    return Misfit(path=path, rule="wrong-type", message=_of_type(value, wanted, hint))


def _of_type(value: Any, wanted: str, hint: str) -> str:
    """The API server's sentence, and ours in brackets."""
    return f'must be of type {wanted}: "{_type_of(value)}" ({hint})'


def _unread(path: Path, rules: tuple[Rule, ...], problem: str) -> Misfit:
    """Text that CEL would fail to convert: an API server then refuses in the name of the rule that asked for it."""
    if not rules:
        return Misfit(path=path, rule="wrong-type", message=problem)
    return Misfit(path=path, rule=rules[0].rule, message=f"{rules[0].message} ({problem})")


def _null(path: Path, wanted: Type) -> Misfit:
    return Misfit(path=path, rule="null", message=_of_type(None, _type_wanted(wanted), "may not be null"))


def _type_wanted(wanted: Type) -> str:
    match wanted:
        case Message() | MapOf():
            return "object"
        case ListOf():
            return "array"
        case Flag():
            return "boolean"
        case Integer():
            return "integer"
        case Number():
            return "number"
    return "string"


def _type_of(value: Any) -> str:
    """The type's name as OpenAPI has it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _scalar_problem(value: Any, expected: Type) -> str:
    match expected:
        case Text() if not isinstance(value, str):
            return _of_type(value, "string", f"want text, have {_sort(value)}{_quoting_hint(value)}")
        case Flag() if not isinstance(value, bool):
            return _of_type(value, "boolean", f"want true or false, have {_sort(value)}")
        case Integer():
            return _integer_problem(value, expected)
        case Number() if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return _of_type(value, "number", f"want a number, have {_sort(value)}")
        case Duration():
            return _duration_problem(value)
        case Binary():
            return _binary_problem(value)
    return ""


def _integer_problem(value: Any, expected: Integer) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        shown = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return _of_type(shown, "integer", f"want a whole number, have {_sort(value)}")
    hint = f"{value} is not in {expected.minimum}..{expected.maximum}"
    if value < expected.minimum:
        return f"should be greater than or equal to {expected.minimum} ({hint})"
    return f"should be less than or equal to {expected.maximum} ({hint})" if value > expected.maximum else ""


def _duration_problem(value: Any) -> str:
    if not isinstance(value, str):
        return _of_type(value, "string", f"want a duration such as 500ms or 1.5s, have {_sort(value)}")
    try:
        parse_duration(value)
    except ValueError as problem:
        return str(problem)
    return ""


def _binary_problem(value: Any) -> str:
    if not isinstance(value, str):
        return _of_type(value, "string", f"want base64 text, have {_sort(value)}")
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return f"must be of type byte: {_quote(value)} (not valid base64)"
    return "" if value else 'must be of type byte: "" (empty: leave the field out)'


def _written(path: Path) -> str:
    """The path as the API server's decoder writes it: map keys after a dot, whatever they hold."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def _nearest(name: str, expected: Message) -> str:
    import difflib

    close = difflib.get_close_matches(name, expected.fields, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _quoting_hint(value: Any) -> str:
    return f': write "{_quote(value)}" in quotes' if isinstance(value, int | float) else ""


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _sort(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return _quote(value)
        case str():
            return f"the text {_quote(value)}"
        case list():
            return "a list"
        case dict():
            return "a map"
    return type(value).__name__
