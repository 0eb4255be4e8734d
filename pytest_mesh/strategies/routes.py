"""Strategies for http routes and whole cells, over a fixed cast of destinations; every document is a valid one.

The cast (``pytest_mesh.strategies.cast``) is what a stage must have; nothing here talks to a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cast import DESTINATIONS, OTHER
from pytest_mesh.strategies.cells import HOST, Cell
from pytest_mesh.strategies.choices import Choose, by_hypothesis, seeded, several
from pytest_mesh.strategies.near_misses import near

REQUESTS = 8
"""Requests of a cell, equal ones included."""

_PATHS = ("/a", "/ab", "/a/", "/a/b", "/A", "/b", "/")
_REGEXES = ("/a+", "/[ab]/?", "/a.*", "/(a|b)", "/a/[0-9]+", ".*")
_HEADERS = ("x-a", "x-b", "X-Mixed")
_QUERIES = ("q", "r")
_VALUES = ("v1", "v2", "v10", "V1", "a")
_VALUE_REGEXES = ("v[0-9]", "v.*", "(v1|a)", ".*", "*")


def _string(choose: Choose, values: Sequence[str], regexes: Sequence[str]) -> Json:
    kind = choose(("exact", "prefix", "regex"))
    return {kind: choose(regexes if kind == "regex" else values)}


def block(choose: Choose) -> Json:
    """Give one entry of ``match``; one to three kinds of conditions."""
    found: Json = {}
    for kind in several(choose, _CONDITIONS, least=1, most=3):
        if kind == "uri":
            found["uri"] = _string(choose, _PATHS, _REGEXES)
            if choose((False, False, True)):
                found["ignoreUriCase"] = True
        elif kind == "method":
            found["method"] = dict(choose(_METHODS))
        elif kind == "authority":
            found["authority"] = dict(choose(_AUTHORITIES))
        elif kind == "scheme":
            found["scheme"] = dict(choose(_SCHEMES))
        elif kind in {"headers", "withoutHeaders"}:
            names = several(choose, _HEADERS, least=1, most=2)
            # ``*`` means presence; validation takes it in withoutHeaders only.
            regexes = _VALUE_REGEXES if kind == "withoutHeaders" else _VALUE_REGEXES[:-1]
            found[kind] = {name: _string(choose, _VALUES, regexes) for name in names}
        elif kind == "queryParams":
            names = several(choose, _QUERIES, least=1, most=2)
            found[kind] = {name: _string(choose, _VALUES, _VALUE_REGEXES[:-1]) for name in names}
        else:
            found.update(choose(_STATIC))
    return found


_METHODS = ({"exact": "GET"}, {"exact": "POST"}, {"prefix": "P"}, {"regex": "GET|PUT"})
_AUTHORITIES = ({"exact": HOST}, {"prefix": HOST}, {"exact": f"{HOST}:80"})
_SCHEMES = ({"exact": "http"}, {"exact": "https"}, {"prefix": "http"})
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


def route(choose: Choose, destinations: Sequence[Json] = DESTINATIONS) -> Json:
    """Give one entry of ``http``. ``destinations`` are where it may send to; copies go to ``other`` of the cast, else to one of these."""
    found: Json = {}
    matches = [block(choose) for _ in range(choose((0, 1, 1, 2)))]
    if matches:
        found["match"] = matches
    kind = choose(("route", "route", "route", "route", "redirect", "directResponse"))
    if kind == "redirect":
        found["redirect"] = _redirect(choose, matches)
    elif kind == "directResponse":
        found["directResponse"] = dict(choose(_DIRECT))
    else:
        found["route"] = _branches(choose, destinations)
        if choose((False, False, True)):
            found["rewrite"] = dict(choose(_REWRITES))
        if choose([False] * 5 + [True]):
            found["mirror"] = {"host": OTHER} if destinations is DESTINATIONS else dict(choose(destinations))
    if choose((False, False, True)):
        found["headers"] = _header_changes(choose, authority=False)
    if kind == "route" and choose([False] * 7 + [True]):
        found["fault"] = dict(choose(_FAULTS))
    return found


_DIRECT: tuple[Json, ...] = ({"status": 418}, {"status": 200, "body": {"string": "direct"}}, {"status": 503})
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


def _redirect(choose: Choose, matches: Sequence[Json]) -> Json:
    options = list(_REDIRECTS)
    if all("prefix" in one.get("uri", {"prefix": "/"}) for one in matches):
        options += [{"prefixRewrite": "/new"}] * 2
    code = choose((0, 301, 302, 303, 307, 308))
    return {**choose(options), **({"redirectCode": code} if code else {})}


_REDIRECTS: tuple[Json, ...] = (
    {"uri": "/new"},
    {"uri": "/new?own=1"},
    {"authority": "other.test"},
    {"scheme": "https"},
    {"port": 8080},
    {"port": 80},
    {"derivePort": "FROM_REQUEST_PORT", "scheme": "https"},
    {"scheme": "https", "port": 443, "authority": "other.test", "uri": "/new"},
)


def _branches(choose: Choose, destinations: Sequence[Json]) -> list[Json]:
    found: list[Json] = []
    for _ in range(choose((1, 1, 2, 3))):
        branch: Json = {"destination": dict(choose(destinations))}
        if choose((False, False, False, True)):
            branch["headers"] = _header_changes(choose, authority=True)
        found.append(branch)
    if len(found) == 1:
        weight = choose((None, None, 0, 100, 30))
        return found if weight is None else [{**found[0], "weight": weight}]
    weights = [choose((0, 0, 1, 3, 50)) for _ in found]
    if not sum(weights):
        weights[0] = 1
    return [{**branch, "weight": weight} for branch, weight in zip(found, weights, strict=True)]


def _header_changes(choose: Choose, *, authority: bool) -> Json:
    changes: Json = {}
    for side, names in (("request", ("x-a", "X-B", "x-new")), ("response", ("x-r", "X-Answer"))):
        for how in several(choose, ("set", "add", "remove"), least=0, most=2):
            some = several(choose, names, least=1, most=2)
            changes.setdefault(side, {})[how] = (
                some[:1] if how == "remove" else {name: choose(("one", "two")) for name in some}
            )
    if authority and choose((False, False, True)):
        changes.setdefault("request", {}).setdefault("set", {})["Host"] = "branch.test"
    return changes or {"response": {"set": {"x-r": "one"}}}


def cell(choose: Choose) -> Cell:
    """Give a host's routes, and requests near them."""
    http = [route(choose) for _ in range(choose((1, 2, 2, 3, 4)))]
    requests = dict.fromkeys(near(choose, http) for _ in range(REQUESTS))
    return Cell(http=tuple(http), requests=tuple(requests))


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """Give cells to a law."""
    return cell(by_hypothesis(draw))


def draw_cells(number: int, seed: int) -> list[Cell]:
    """Give so many different cells; the same for the same seed."""
    choose = seeded(Random(seed))  # noqa: S311 - reproducible, not secret
    found: dict[str, Cell] = {}
    while len(found) < number:
        one = cell(choose)
        found.setdefault(one.key, one)
    return list(found.values())
