"""Smaller cells: every way to leave out one part, or to make one part plainer. What makes a repro minimal."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cells import Cell, Sent

_PLAIN: Json = {"route": [{"destination": {"host": "target", "subset": "v1"}}]}
_KEPT = {"destination", "host", "exact", "prefix", "regex", "status", "fixedDelay", "httpStatus"}
"""Fields without which their parent is no document."""


def reductions(cell: Cell) -> list[Cell]:
    """Give every cell that is one step smaller, smallest first; each once."""
    found: dict[str, Cell] = {}
    for one in (*_fewer_requests(cell), *_smaller_routes(cell), *_smaller_requests(cell)):
        if one.http and one.requests and one.size < cell.size:
            found.setdefault(one.key, one)
    return sorted(found.values(), key=lambda one: one.size)


def steps(cell: Cell, limit: int) -> list[Cell]:
    """Give reductions of one step, smallest first, and where ``limit`` leaves room the smallest of two steps after them.

    None of one step makes way for one of two: a round in which none fails says that the cell is minimal.
    """
    first = reductions(cell)
    known = {one.key for one in first}
    second: dict[str, Cell] = {}
    for one in first:
        if len(first) + len(second) >= limit:
            break
        second |= {two.key: two for two in reductions(one) if two.key not in known and two.key not in second}
    return [*first, *sorted(second.values(), key=lambda one: one.size)][:limit]


def _fewer_requests(cell: Cell) -> Iterator[Cell]:
    if len(cell.requests) > 1:
        for request in cell.requests:
            yield replace(cell, requests=(request,))


def _smaller_routes(cell: Cell) -> Iterator[Cell]:
    for http in _smaller(list(cell.http)):
        if _is_valid(http):
            yield replace(cell, http=tuple(http))
    for index, route in enumerate(cell.http):
        plain = {**({"match": route["match"]} if "match" in route else {}), **_PLAIN}
        changed = [*cell.http[:index], plain, *cell.http[index + 1 :]]
        yield replace(cell, http=tuple(copy.deepcopy(changed)))


def _smaller(value: Any) -> Iterator[Any]:
    """Give copies of a JSON value with one element or field less, at any depth."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield [*value[:index], *value[index + 1 :]]
            for smaller in _smaller(item):
                yield [*value[:index], smaller, *value[index + 1 :]]
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _KEPT:
                yield {name: other for name, other in value.items() if name != key}
            for smaller in _smaller(item):
                yield {**value, key: smaller}


def _is_valid(http: Any) -> bool:
    """Whether a mesh takes these routes: every block and action still says something."""
    for route in http:
        if not isinstance(route, dict) or sum(key in route for key in ("route", "redirect", "directResponse")) != 1:
            return False
        if "route" not in route and route.keys() & {"fault", "rewrite", "mirror"}:
            return False
        branches = route.get("route", [{}])
        if not branches or any(not block for block in route.get("match", [{"": ""}])):
            return False
        if len(branches) > 1 and not sum(branch.get("weight", 0) for branch in branches):
            return False
        regex = route.get("rewrite", {}).get("uriRegexRewrite", {"match": "", "rewrite": ""})
        if _has_empty(route) or regex.keys() != {"match", "rewrite"}:
            return False
        if route.get("redirect", {"": ""}).keys() <= {"redirectCode"} or not route.get("fault", {"": ""}):
            return False
    return True


def _has_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return any(item in ({}, []) or _has_empty(item) for item in value.values())
    return isinstance(value, list) and any(item in ({}, []) or _has_empty(item) for item in value)


def _smaller_requests(cell: Cell) -> Iterator[Cell]:
    for index, request in enumerate(cell.requests):
        for one in _smaller_sent(request):
            yield replace(cell, requests=(*cell.requests[:index], one, *cell.requests[index + 1 :]))


def _smaller_sent(request: Sent) -> Iterator[Sent]:
    for index in range(len(request.headers)):
        yield replace(request, headers=(*request.headers[:index], *request.headers[index + 1 :]))
    path, mark, query = request.path.partition("?")
    parts = query.split("&") if mark else []
    for index in range(len(parts)):
        rest = "&".join([*parts[:index], *parts[index + 1 :]])
        yield replace(request, path=f"{path}?{rest}" if rest else path)
    if request.method != "GET":
        yield replace(request, method="GET")
    if request.authority != Sent().authority:
        yield replace(request, authority=Sent().authority)
    if path != "/":
        yield replace(request, path=f"/{mark}{query}")
