"""Strategies for http routes and whole cells, over a fixed cast of destinations; every document is a valid one.

The cast (``pytest_mesh.strategies.cast``) is what a stage must have; nothing here talks to a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cast import DESTINATIONS, OTHER
from pytest_mesh.strategies.cells import HOST, Cell
from pytest_mesh.strategies.near_misses import requests_near

REQUESTS = 8
"""Requests of a cell, equal ones included."""

_PATHS = ("/a", "/ab", "/a/", "/a/b", "/A", "/b", "/")
_REGEXES = ("/a+", "/[ab]/?", "/a.*", "/(a|b)", "/a/[0-9]+", ".*")
_HEADERS = ("x-a", "x-b", "X-Mixed")
_QUERIES = ("q", "r")
_VALUES = ("v1", "v2", "v10", "V1", "a")
_VALUE_REGEXES = ("v[0-9]", "v.*", "(v1|a)", ".*", "*")


def _strings(values: Sequence[str], regexes: Sequence[str]) -> st.SearchStrategy[Json]:
    return st.one_of(
        st.sampled_from(values).map(lambda value: {"exact": value}),
        st.sampled_from(values).map(lambda value: {"prefix": value}),
        st.sampled_from(regexes).map(lambda value: {"regex": value}),
    )


@st.composite
def blocks(draw: st.DrawFn) -> Json:
    """One entry of ``match``; one to three conditions."""
    block: Json = {}
    for kind in draw(st.lists(st.sampled_from(_CONDITIONS), min_size=1, max_size=3, unique=True)):
        if kind == "uri":
            block["uri"] = draw(_strings(_PATHS, _REGEXES))
            if draw(st.sampled_from([False, False, True])):
                block["ignoreUriCase"] = True
        elif kind == "method":
            block["method"] = draw(
                st.sampled_from([{"exact": "GET"}, {"exact": "POST"}, {"prefix": "P"}, {"regex": "GET|PUT"}])
            )
        elif kind == "authority":
            block["authority"] = draw(st.sampled_from([{"exact": HOST}, {"prefix": HOST}, {"exact": f"{HOST}:80"}]))
        elif kind == "scheme":
            block["scheme"] = draw(st.sampled_from([{"exact": "http"}, {"exact": "https"}, {"prefix": "http"}]))
        elif kind in {"headers", "withoutHeaders"}:
            names = draw(st.lists(st.sampled_from(_HEADERS), min_size=1, max_size=2, unique=True))
            block[kind] = {name: draw(_strings(_VALUES, _VALUE_REGEXES)) for name in names}
        elif kind == "queryParams":
            names = draw(st.lists(st.sampled_from(_QUERIES), min_size=1, max_size=2, unique=True))
            block[kind] = {name: draw(_strings(_VALUES, _VALUE_REGEXES[:-1])) for name in names}
        else:
            block.update(draw(st.sampled_from(_STATIC)))
    return block


_CONDITIONS = (
    "uri", "uri", "uri", "headers", "headers", "queryParams", "method", "withoutHeaders", "authority", "scheme", "static",
)  # fmt: skip
_STATIC: tuple[Json, ...] = (
    {"port": 80},
    {"port": 81},
    {"sourceLabels": {"app": "client"}},
    {"sourceLabels": {"app": "other"}},
    {"sourceNamespace": "elsewhere"},
    {"gateways": ["mesh"], "sourceLabels": {"app": "other"}},
)


@st.composite
def routes(draw: st.DrawFn) -> Json:
    """One entry of ``http``."""
    route: Json = {}
    found = draw(st.lists(blocks(), max_size=2))
    if found:
        route["match"] = found
    kind = draw(st.sampled_from(["route", "route", "route", "route", "redirect", "directResponse"]))
    if draw(st.sampled_from([False, False, True])):
        route["headers"] = draw(_header_changes(authority=False))
    if kind == "redirect":
        route["redirect"] = draw(_redirects(found))
    elif kind == "directResponse":
        route["directResponse"] = draw(
            st.sampled_from([{"status": 418}, {"status": 200, "body": {"string": "direct"}}, {"status": 503}])
        )
    else:
        route["route"] = draw(_branches())
        if draw(st.sampled_from([False, False, True])):
            route["rewrite"] = draw(st.sampled_from(_REWRITES))
        if draw(st.sampled_from([False] * 5 + [True])):
            route["mirror"] = {"host": OTHER}
    if draw(st.sampled_from([False] * 7 + [True])):
        route["fault"] = draw(st.sampled_from(_FAULTS))
    return route


_REWRITES: tuple[Json, ...] = (
    {"uri": "/new"},
    {"uri": "/"},
    {"authority": "other.test"},
    {"uri": "/new/", "authority": "other.test"},
    {"uriRegexRewrite": {"match": "/(a+)(.*)", "rewrite": "/x\\2-\\1"}},
    {"uriRegexRewrite": {"match": "b", "rewrite": "c"}},
)
_FAULTS: tuple[Json, ...] = (
    {"abort": {"httpStatus": 418, "percentage": {"value": 100}}},
    {"abort": {"httpStatus": 418, "percentage": {"value": 0}}},
    {"abort": {"httpStatus": 418}},
    {"delay": {"fixedDelay": "0.05s", "percentage": {"value": 100}}},
    {"delay": {"fixedDelay": "0.05s", "percentage": {"value": 100}}, "abort": {"httpStatus": 418, "percentage": {"value": 100}}},
)  # fmt: skip


@st.composite
def _redirects(draw: st.DrawFn, found: Sequence[Json]) -> Json:
    options: list[Json] = [
        {"uri": "/new"},
        {"uri": "/new?own=1"},
        {"authority": "other.test"},
        {"scheme": "https"},
        {"port": 8080},
        {"port": 80},
        {"derivePort": "FROM_REQUEST_PORT", "scheme": "https"},
        {"scheme": "https", "port": 443, "authority": "other.test", "uri": "/new"},
    ]
    if all("prefix" in block.get("uri", {"prefix": "/"}) for block in found):
        options.append({"prefixRewrite": "/new"})
    redirect = dict(draw(st.sampled_from(options)))
    code = draw(st.sampled_from([0, 301, 302, 303, 307, 308]))
    return {**redirect, "redirectCode": code} if code else redirect


@st.composite
def _branches(draw: st.DrawFn) -> list[Json]:
    found: list[Json] = []
    for destination in draw(st.lists(st.sampled_from(DESTINATIONS), min_size=1, max_size=3)):
        branch: Json = {"destination": dict(destination)}
        if draw(st.sampled_from([False, False, False, True])):
            branch["headers"] = draw(_header_changes(authority=True))
        found.append(branch)
    if len(found) == 1:
        weight = draw(st.sampled_from([None, None, 0, 100, 30]))
        return [{**found[0], "weight": weight}] if weight is not None else found
    weights = draw(st.lists(st.sampled_from([0, 0, 1, 3, 50]), min_size=len(found), max_size=len(found)))
    if not sum(weights):
        weights[0] = 1
    return [{**branch, "weight": weight} for branch, weight in zip(found, weights, strict=True)]


@st.composite
def _header_changes(draw: st.DrawFn, *, authority: bool) -> Json:
    def values(names: Sequence[str]) -> st.SearchStrategy[dict[str, str]]:
        return st.dictionaries(st.sampled_from(names), st.sampled_from(["one", "two"]), min_size=1, max_size=2)

    changes: Json = {}
    for side, names in (("request", ("x-a", "X-B", "x-new")), ("response", ("x-r", "X-Answer"))):
        for how in draw(st.lists(st.sampled_from(["set", "add", "remove"]), max_size=2, unique=True)):
            value: Any = draw(values(names)) if how != "remove" else [draw(st.sampled_from(names))]
            changes.setdefault(side, {})[how] = value
    if authority and draw(st.sampled_from([False, False, True])):
        changes.setdefault("request", {}).setdefault("set", {})["Host"] = "branch.test"
    return changes or {"response": {"set": {"x-r": "one"}}}


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """A host's routes, and requests near them."""
    http = draw(st.lists(routes(), min_size=1, max_size=4))
    requests = draw(st.lists(requests_near(http), min_size=REQUESTS, max_size=REQUESTS))
    return Cell(http=tuple(http), requests=tuple(dict.fromkeys(requests)))


def draw_cells(number: int, random_seed: int) -> list[Cell]:
    """Give so many different cells; the same for the same seed."""
    found: dict[str, Cell] = {}

    # Hypothesis gives small examples first; the larger part of a surplus has the power.
    @seed(random_seed)
    @settings(
        phases=[Phase.generate],
        max_examples=number * 3 // 2,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cells())
    def collect(cell: Cell) -> None:
        found.setdefault(cell.key, cell)

    collect()
    ordered = sorted(found.values(), key=lambda cell: cell.size)[-number:]
    Random(random_seed).shuffle(ordered)  # noqa: S311 - the order of a test run
    return ordered
