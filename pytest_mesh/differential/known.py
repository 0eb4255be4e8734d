"""The list of known differences between two meshes (YAML): each with its reason, a link, what it takes in, and its smallest case.

An entry without a reason or a link is refused. An entry whose own case shows no difference any more is *stale*.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cells import Cell

FORMAT = 1
_KEYS = {"id", "reason", "link", "aspects", "fields", "one", "other", "case"}
_REQUIRED = ("id", "reason", "link", "aspects", "case")


class KnownDifferencesError(ValueError):
    """A list that does not say what it must; names the entry and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One known difference."""

    id: str
    reason: str
    link: str
    aspects: tuple[str, ...]
    """Patterns (``request header x-*``) of the aspects that it explains."""
    fields: tuple[str, ...] = ()
    """Paths (``rewrite.uriRegexRewrite``) of which some route of the cell must have each one."""
    one: str = ""
    other: str = ""
    """Regular expressions that the first and the second mesh's value must hold."""
    case: Cell
    """The smallest case, with one request; it is tried in every run."""

    def explains(self, http: Sequence[Json], aspect: str, values: tuple[str, str]) -> bool:
        """Whether it takes in this aspect's difference under these routes."""
        return (
            any(fnmatch.fnmatchcase(aspect, pattern) for pattern in self.aspects)
            and all(any(path in _paths(route) for route in http) for path in self.fields)
            and all(re.search(wanted, value) for wanted, value in zip((self.one, self.other), values, strict=True))
        )


def unexplained(
    known: Iterable[Known], http: Sequence[Json], differences: Mapping[str, tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Give the aspects that no entry explains."""
    entries = tuple(known)
    return {
        aspect: values
        for aspect, values in differences.items()
        if not any(one.explains(http, aspect, values) for one in entries)
    }


def is_stale(one: Known, found: Iterable[Mapping[str, tuple[str, str]]]) -> bool:
    """Whether the differences that its own case shows hold none that it explains."""
    return not any(explaining([one], one.case.http, differences) for differences in found)


def ignored(known: Iterable[Known], http: Sequence[Json]) -> frozenset[str]:
    """Give the aspects that entries take in whatever their values are: no sample tells them apart."""
    return frozenset(
        aspect
        for one in known
        if not (one.one or one.other) and all(any(path in _paths(route) for route in http) for path in one.fields)
        for aspect in one.aspects
        if not set("*?[") & set(aspect)
    )


def explaining(known: Iterable[Known], http: Sequence[Json], differences: Mapping[str, tuple[str, str]]) -> set[str]:
    """Give the ids of the entries that explain some aspect."""
    return {one.id for one in known for aspect, values in differences.items() if one.explains(http, aspect, values)}


def read(data: Any, source: str) -> tuple[Known, ...]:
    """Read the parsed file; raises :class:`KnownDifferencesError`."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise KnownDifferencesError(f"{source}: must be a map with format: {FORMAT}")
    found = data.get("differences") or []
    if not isinstance(found, list):
        raise KnownDifferencesError(f"{source}: differences: must be a list")
    entries = tuple(_entry(one, f"{source}: differences[{index}]") for index, one in enumerate(found))
    ids = [one.id for one in entries]
    for name in {one for one in ids if ids.count(one) > 1}:
        raise KnownDifferencesError(f"{source}: {name}: the id is there twice")
    return entries


def _entry(data: Any, where: str) -> Known:
    if not isinstance(data, dict):
        raise KnownDifferencesError(f"{where}: must be a map")
    where = f"{where} ({data.get('id', 'no id')})"
    for name in data.keys() - _KEYS:
        raise KnownDifferencesError(f"{where}: {name} is not known (known: {', '.join(sorted(_KEYS))})")
    for name in _REQUIRED:
        if not data.get(name):
            raise KnownDifferencesError(f"{where}: {name} is required")
    if not re.match(r"https?://|[\w./-]+\.(md|yaml)(#|$)", str(data["link"])):
        raise KnownDifferencesError(f"{where}: link: must be a URL or a page of this repository")
    try:
        case = Cell.from_json(data["case"])
        for pattern in (data.get("one", ""), data.get("other", "")):
            re.compile(pattern)
    except (ValueError, AttributeError, re.error) as error:
        raise KnownDifferencesError(f"{where}: {error}") from error
    if len(case.requests) != 1:
        raise KnownDifferencesError(f"{where}: case: must have one request")
    return Known(
        id=str(data["id"]),
        reason=str(data["reason"]),
        link=str(data["link"]),
        aspects=tuple(data["aspects"]),
        fields=tuple(data.get("fields", ())),
        one=str(data.get("one", "")),
        other=str(data.get("other", "")),
        case=case,
    )


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            path = f"{prefix}.{key}" if prefix else key
            yield path
            yield from _paths(item, path)
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, prefix)
