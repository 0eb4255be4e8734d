"""Strings that a regular expression takes as a whole. For the patterns of routes: no look-around, no back reference."""

from __future__ import annotations

import importlib
import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pytest_mesh.strategies.choices import Choose

sre: Any = importlib.import_module("re._constants")
_parser: Any = importlib.import_module("re._parser")
"""The standard library's own reading of patterns; it has no public name and no types."""

_ALPHABET = "ab10" + string.ascii_letters + string.digits + "-_/"
_MOST = 2
"""Repetitions beyond the least."""


def example(choose: Choose, pattern: str) -> str:
    """Give a string; raises ValueError for a pattern that cannot be read so."""
    return _sequence(choose, _parsed(pattern))


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> Any:
    return _parser.parse(pattern)


def _sequence(choose: Choose, parts: Iterable[tuple[Any, Any]]) -> str:
    return "".join(_one(choose, kind, value) for kind, value in parts)


def _one(choose: Choose, kind: Any, value: Any) -> str:
    if kind is sre.LITERAL:
        return chr(value)
    if kind is sre.ANY:
        return choose(_ALPHABET[:6])
    if kind is sre.NOT_LITERAL:
        return choose([one for one in _ALPHABET if ord(one) != value])
    if kind is sre.IN:
        return choose(_members(value))
    if kind is sre.BRANCH:
        return _sequence(choose, choose(value[1]))
    if kind is sre.SUBPATTERN:
        return _sequence(choose, value[-1])
    if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
        least, most, inside = value
        times = choose(range(least, min(int(most), least + _MOST) + 1))
        return "".join(_sequence(choose, inside) for _ in range(times))
    if kind is sre.AT:
        return ""
    raise ValueError(f"no example is made for {kind}")


def _members(parts: Any) -> list[str]:
    """Give the characters of a class, of those that are used here."""
    negated, taken = False, set()
    for kind, value in parts:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.LITERAL:
            taken.add(chr(value))
        elif kind is sre.RANGE:
            taken |= {chr(code) for code in range(value[0], value[1] + 1)}
        elif kind is sre.CATEGORY and value in _CATEGORIES:
            taken |= _CATEGORIES[value]
        else:
            raise ValueError(f"no example is made for {kind} {value}")
    return [one for one in _ALPHABET if one not in taken] if negated else sorted(taken)


_CATEGORIES = {
    sre.CATEGORY_DIGIT: set(string.digits),
    sre.CATEGORY_NOT_DIGIT: set(_ALPHABET) - set(string.digits),
    sre.CATEGORY_WORD: set(string.ascii_letters + string.digits + "_"),
    sre.CATEGORY_NOT_WORD: {"-", "/"},
    sre.CATEGORY_SPACE: {" "},
    sre.CATEGORY_NOT_SPACE: set(_ALPHABET),
}
