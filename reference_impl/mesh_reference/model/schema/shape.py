"""Does a value have the shape that its type says? Pure; the first gate of validation.

It reports unknown fields, wrong types, unknown names and doubly set oneofs. It does
not judge values of the right shape.
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
            if not isinstance(value, str) or value not in expected.names:
                shown = ", ".join(expected.names)
                yield Misfit(path=path, rule="unknown-name", message=f"{_quote(value)} is none of {shown}")
        case _:
            problem = _scalar_problem(value, expected)
            if problem:
                yield Misfit(path=path, rule="wrong-type", message=problem)
            elif isinstance(expected, Text):
                yield from _size(value, expected.at_most, path, "characters")


def _message(value: Any, expected: Message, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield Misfit(path=path, rule="wrong-type", message=f"want {expected.name}'s fields, have {_sort(value)}")
        return
    for name, item in value.items():
        if name not in expected.fields:
            hint = _nearest(name, expected)
            yield Misfit(
                path=(*path, name), rule="unknown-field", message=f'unknown field "{name}" in {expected.name}{hint}'
            )
        elif item is not None:
            yield from misfits(item, expected.fields[name], (*path, name))
    for group in expected.one_of:
        given = [name for name in value if name in group and value[name] is not None]
        if len(given) > 1:
            yield Misfit(
                path=(*path, given[1]),
                rule="one-of",
                message=f"only one of {', '.join(group)} may be set, have {' and '.join(given)}",
            )


def _list(value: Any, expected: ListOf, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, list):
        yield Misfit(path=path, rule="wrong-type", message=f"want a list, have {_sort(value)}")
        return
    yield from _size(value, expected.at_most, path, "items")
    for index, item in enumerate(value):
        if item is None:
            yield Misfit(path=(*path, index), rule="null", message="may not be null")
        else:
            yield from misfits(item, expected.item, (*path, index))


def _size(value: Any, at_most: int | None, path: Path, things: str) -> Iterator[Misfit]:
    if at_most is not None and len(value) > at_most:
        yield Misfit(path=path, rule="too-many", message=f"at most {at_most} {things} are allowed, have {len(value)}")


def _map(value: Any, expected: MapOf, path: Path) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield Misfit(path=path, rule="wrong-type", message=f"want a map, have {_sort(value)}")
        return
    yield from _size(value, expected.at_most, path, "entries")
    for name, item in value.items():
        if expected.key == "port" and not (name.isascii() and name.isdigit() and int(name) < 2**32):
            yield Misfit(
                path=(*path, name), rule="wrong-type", message=f"want a port's number as key, have {_quote(name)}"
            )
        elif item is None:
            yield Misfit(path=(*path, name), rule="null", message="may not be null")
        else:
            yield from misfits(item, expected.value, (*path, name))


def _scalar_problem(value: Any, expected: Type) -> str:
    match expected:
        case Text():
            return "" if isinstance(value, str) else f"want text, have {_sort(value)}{_quoting_hint(value)}"
        case Flag():
            return "" if isinstance(value, bool) else f"want true or false, have {_sort(value)}"
        case Integer():
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int):
                return f"want a whole number, have {_sort(value)}"
            if not expected.minimum <= value <= expected.maximum:
                return f"{value} is not in {expected.minimum}..{expected.maximum}"
            return ""
        case Number():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                return f"want a number, have {_sort(value)}"
            return ""
        case Duration():
            return _duration_problem(value)
        case Binary():
            return _binary_problem(value)
    raise TypeError(f"{expected!r} is not a scalar type")


def _duration_problem(value: Any) -> str:
    if not isinstance(value, str):
        return f"want a duration such as 500ms or 1.5s, have {_sort(value)}"
    try:
        parse_duration(value)
    except ValueError as problem:
        return str(problem)
    return ""


def _binary_problem(value: Any) -> str:
    if not isinstance(value, str):
        return f"want base64 text, have {_sort(value)}"
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "not valid base64"
    return ""


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
