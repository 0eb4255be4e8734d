"""Adds to cells what the oracle has no opinion on, or not on all of it: for meshes that are compared with each other.

Timeouts and retries (with requests that make the workload slow or failing), CORS, percentages of mirrors and faults, several
mirrors, names of routes and of match blocks. It generates nothing of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cast import OTHER, TARGET
from pytest_mesh.strategies.cast import SUBSETS as SUBSETS_OF_THE_CAST
from pytest_mesh.strategies.cells import Cell, Sent
from pytest_mesh.strategies.choices import Choose, seeded, several

_KINDS = ("timeout", "retries", "cors", "mirrors", "mirrorPercentage", "fault", "names", "subset", "grpc")
_RETRIES: tuple[Json, ...] = (
    {"attempts": 0},
    {"attempts": 1, "retryOn": "5xx"},
    {"attempts": 3, "retryOn": "5xx,reset", "backoff": "0.005s"},
    {"attempts": 2, "retryOn": "gateway-error,connect-failure", "backoff": "0.005s"},
    {"attempts": 2, "retryOn": "503", "backoff": "0.005s"},
    {"attempts": 2, "retryOn": "retriable-4xx,500", "backoff": "0.005s"},
    {"attempts": 2},
)
_STATUSES = ("200", "409", "500", "502", "503", "504")
_GRPC_TYPES = ("application/grpc", "application/grpc+proto", "application/grpc-web")
_ORIGIN = "https://app.test"
_CORS: tuple[Json, ...] = (
    {"allowOrigins": [{"exact": _ORIGIN}], "allowMethods": ["GET", "POST"], "allowHeaders": ["x-a"], "maxAge": "24h"},
    {"allowOrigins": [{"prefix": "https://app"}], "allowMethods": ["PUT"], "allowCredentials": True, "exposeHeaders": ["x-r"]},
    {"allowOrigins": [{"regex": "https://.*[.]test"}], "allowMethods": ["GET"], "unmatchedPreflights": "IGNORE"},
    {"allowOrigins": [{"exact": "https://else.test"}], "unmatchedPreflights": "FORWARD"},
    {"allowOrigins": [{"exact": "*"}]},
)  # fmt: skip
_MIRRORS: tuple[list[Json], ...] = (
    [{"destination": {"host": OTHER}}],
    [{"destination": {"host": OTHER}}, {"destination": {"host": TARGET, "subset": "v1"}}],
    [{"destination": {"host": OTHER}, "percentage": {"value": 0}}, {"destination": {"host": TARGET, "subset": "v2"}}],
    [{"destination": {"host": TARGET, "subset": "nowhere"}}],
)
_SUBSETS = ("plain", "h2", "inherited")
"""Of the stage that a comparison sets up: see ``SUBSETS``."""

SUBSETS: tuple[Json, ...] = (
    {"name": "plain", "labels": {"version": "v1"}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
    {"name": "h2", "labels": {"version": "v2"}, "trafficPolicy": {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}}}},
    {
        "name": "inherited",
        "labels": {"version": "v1"},
        "trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}]},
    },
)  # fmt: skip
"""More subsets of ``target``, told apart by what its pods see of the caller."""


def subsets() -> Json:
    """Give the cast's DestinationRule with these subsets in it."""
    rule = copy.deepcopy(SUBSETS_OF_THE_CAST)
    rule["spec"]["subsets"] += copy.deepcopy(list(SUBSETS))
    return rule


def beyond_the_oracle(cell: Cell) -> bool:
    """Whether a cell sends to a subset of which the oracle must not know: it refuses its policy."""
    names = {one["name"] for one in SUBSETS}
    return any(
        branch["destination"].get("subset") in names
        for route in cell.http
        for branch in (*route.get("route", ()), *route.get("mirrors", ()))
    )


def widened(cells: Sequence[Cell], seed: int) -> list[Cell]:
    """Give the cells, half of them with one or two things more; the same for the same seed."""
    choose = seeded(Random(f"wide-{seed}"))  # noqa: S311 - reproducible, not secret
    return [widen(choose, cell) if choose((False, True)) else cell for cell in cells]


def widen(choose: Choose, cell: Cell) -> Cell:
    """Give a cell with something more in one of its routes, and requests that show it."""
    http = copy.deepcopy(list(cell.http))
    requests = list(cell.requests)
    for kind in several(choose, _KINDS, least=1, most=2):
        _put(choose, kind, choose(http))
        requests = _asked(choose, kind, requests)
    return Cell(http=tuple(http), requests=tuple(dict.fromkeys(requests)))


def _put(choose: Choose, kind: str, route: Json) -> None:
    if kind == "names":
        route["name"] = choose(("first", "second"))
        for block in route.get("match", ()):
            if choose((False, True)):
                block["name"] = choose(("one", "two"))
    elif kind == "cors":
        route["corsPolicy"] = copy.deepcopy(choose(_CORS))
    elif "route" not in route:
        return
    elif kind == "timeout":
        route["timeout"] = "0.4s"
    elif kind == "retries":
        route["retries"] = dict(choose(_RETRIES))
    elif kind == "mirrors":
        route.pop("mirror", None)
        route["mirrors"] = copy.deepcopy(choose(_MIRRORS))
    elif kind == "mirrorPercentage":
        route.setdefault("mirror", {"host": OTHER})
        route.pop("mirrors", None)
        route["mirrorPercentage"] = {"value": choose((0, 50, 100))}
    elif kind == "fault":
        route["fault"] = {"abort": {"httpStatus": choose((418, 503)), "percentage": {"value": choose((20, 50))}}}
    elif kind == "grpc":
        abort = {
            "grpcStatus": choose(("UNAVAILABLE", "NOT_FOUND", "INTERNAL")),
            "percentage": {"value": choose((50, 100))},
        }
        route["fault"] = {"abort": abort}
    else:
        choose(route["route"])["destination"] = {"host": TARGET, "subset": choose(_SUBSETS)}
    if "mirrors" in route:
        route.pop("mirror", None)
        route.pop("mirrorPercentage", None)


def _asked(choose: Choose, kind: str, requests: list[Sent]) -> list[Sent]:
    """Give the requests, some of them such that what was put in shows."""
    if kind == "retries":
        return [
            replace(one, headers=(*one.headers, ("x-mesh-status", choose(_STATUSES)))) if choose((False, True)) else one
            for one in requests
        ]
    if kind == "timeout":
        # One of them: each takes as long as the timeout.
        slow = choose(requests)
        return [replace(one, headers=(*one.headers, ("x-mesh-delay", "2"))) if one is slow else one for one in requests]
    if kind == "cors":
        return [_preflight(choose, one) if choose((False, True)) else one for one in requests]
    if kind == "grpc":
        return [
            replace(one, headers=(*one.headers, ("content-type", choose(_GRPC_TYPES))))
            if choose((False, True))
            else one
            for one in requests
        ]
    return requests


def _preflight(choose: Choose, sent: Sent) -> Sent:
    origin = ("origin", choose((_ORIGIN, "https://app.test:8443", "https://else.test", "http://other.test")))
    if choose((False, True)):
        return replace(sent, headers=(*sent.headers, origin))
    wanted = ("access-control-request-method", choose(("GET", "PUT")))
    return replace(sent, method="OPTIONS", headers=(*sent.headers, origin, wanted))
