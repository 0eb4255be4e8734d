"""Laws that hold of routes whatever they are: two ways to say the same. Pure; no oracle is asked, so any mesh can be held to them.

Each law rewrites a cell's routes. The routes are first made *sharp*: what shares
out by chance is left with one choice, so that one answer can be compared with one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from random import Random

from pytest_mesh.contracts import Json, Observation
from pytest_mesh.strategies.cast import TARGET
from pytest_mesh.strategies.cells import HOST, Cell

Routes = list[Json]
Law = Callable[[Routes, Random], Routes]

_NEVER: Json = {"match": [{"headers": {"x-never-sent": {"exact": "never"}}}], "directResponse": {"status": 599}}
_WATCHED = frozenset({"x-a", "x-b", "x-mixed", "x-new", "x-r", "x-answer"})
"""Headers that generated routes and requests name; others differ from request to request."""


def sharp(cell: Cell) -> Cell:
    """Give the cell without chance: of several destinations the first that gets anything, of a whole Service its v1."""
    http = copy.deepcopy(list(cell.http))
    for route in http:
        if branches := route.get("route"):
            kept = next((one for one in branches if one.get("weight", 1)), branches[0])
            kept.pop("weight", None)
            if kept["destination"] == {"host": TARGET}:
                kept["destination"]["subset"] = "v1"
            route["route"] = [kept]
    return replace(cell, http=tuple(http))


def rule_that_never_matches(http: Routes, random: Random) -> Routes:
    """One more rule, that no request matches, anywhere."""
    place = random.randint(0, len(http))
    return [*http[:place], copy.deepcopy(_NEVER), *http[place:]]


def blocks_in_another_order(http: Routes, random: Random) -> Routes:
    """The blocks of each rule's match, of which one is enough, turned round.

    Not where a rewrite takes the place of what the block matched: there the first block that matches says how much that is.
    """
    del random
    fixed = [route for route in http if "rewrite" in route or "prefixRewrite" in route.get("redirect", {})]
    return [
        {**route, "match": route["match"][::-1]} if "match" in route and route not in fixed else route for route in http
    ]


def blocks_as_rules(http: Routes, random: Random) -> Routes:
    """Each rule of several blocks as several rules of one block, one after the other."""
    del random
    return [{**route, "match": [block]} if block else route for route in http for block in route.get("match", [None])]


LAWS: Mapping[str, Law] = {
    "never": rule_that_never_matches,
    "order": blocks_in_another_order,
    "blocks": blocks_as_rules,
}


def rewritten(cell: Cell, law: Law, random: Random) -> Cell:
    """Give the cell with its routes said otherwise, and the same requests."""
    return replace(cell, http=tuple(law(copy.deepcopy(list(cell.http)), random)))


def answer(observation: Observation, host: str) -> Json:
    """Give what of an answer the routes decide; the cell's own host is taken out."""

    def plain(text: str) -> str:
        return text.replace(host, HOST)

    echo = observation.echo
    return {
        "status": observation.status,
        "failure": observation.failure,
        "response": _headers(observation.headers, plain, _WATCHED | {"location"}),
        **({"body": observation.body} if echo is None else {}),
        **(
            {
                "version": echo.version,
                "method": echo.method,
                "path": plain(echo.path),
                "authority": plain(echo.host),
                "request": _headers(echo.headers, plain, _WATCHED),
            }
            if echo
            else {}
        ),
    }


def _headers(
    pairs: tuple[tuple[str, str], ...], plain: Callable[[str], str], names: Collection[str]
) -> list[list[str]]:
    return sorted([name.lower(), plain(value)] for name, value in pairs if name.lower() in names)
