"""Requests near a list of http routes: one that fulfils a block's conditions, then at most two small faults.

Near misses are what tells a right mesh from a nearly right one: a request drawn blindly meets no condition at all.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cells import HOST, Sent

_METHODS = ("GET", "POST", "PUT", "DELETE")
_ALPHABET = string.ascii_letters + string.digits + "-/_"
_VALUES = ("v1", "v2", "v10", "a")


def requests_near(http: Sequence[Json]) -> st.SearchStrategy[Sent]:
    """Give requests that fulfil, or nearly fulfil, some match block of these routes."""
    blocks = [block for route in http for block in (route.get("match") or [{}])]
    return st.sampled_from(blocks).flatmap(_near)


@st.composite
def _near(draw: st.DrawFn, block: Json) -> Sent:
    path = draw(_path(block))
    method = draw(_string(block["method"], _METHODS)) if "method" in block else "GET"
    authority = draw(_string(block["authority"], (HOST,))) if "authority" in block else HOST
    if HOST not in authority:
        authority = HOST
    headers = {name: draw(_string(match, _VALUES)) for name, match in (block.get("headers") or {}).items()}
    query = {name: draw(_string(match, _VALUES)) for name, match in (block.get("queryParams") or {}).items()}
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        fault = draw(st.sampled_from(_faults(block)))
        if fault == "path":
            path = draw(_altered_path(path))
        elif fault == "method":
            method = draw(st.sampled_from(_METHODS))
        elif fault == "authority":
            authority = draw(st.sampled_from([f"{HOST}:80", f"{HOST}:81"]))
        elif fault == "headers":
            _spoil(draw, headers, [*(block.get("headers") or {}), *(block.get("withoutHeaders") or {})])
        elif fault == "without":
            name = draw(st.sampled_from(sorted(block["withoutHeaders"])))
            headers[name] = draw(_string(block["withoutHeaders"][name], _VALUES))
        else:
            _spoil(draw, query, list(block["queryParams"]))
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return Sent(
        path=f"{path}?{text}" if text else path, method=method, headers=tuple(headers.items()), authority=authority
    )


def _faults(block: Json) -> list[str]:
    known = {"withoutHeaders": "without", "headers": "headers", "queryParams": "query", "authority": "authority"}
    return ["path", "path", "method", *(fault for key, fault in known.items() if block.get(key))]


def _path(block: Json) -> st.SearchStrategy[str]:
    if "uri" not in block:
        return st.sampled_from(["/", "/a", "/a/b"])
    found = _string(block["uri"], ("/", "/a"))
    if "prefix" in block["uri"]:
        found = st.builds(str.__add__, found, st.sampled_from(["", "", "b", "/b"]))
    if block.get("ignoreUriCase"):
        found = st.builds(lambda path, flip: path.swapcase() if flip else path, found, st.booleans())
    return found.map(lambda path: path if path.startswith("/") else f"/{path}")


def _string(match: Mapping[str, Any], free: Sequence[str]) -> st.SearchStrategy[str]:
    """Give strings that a match takes."""
    if "exact" in match:
        return st.just(str(match["exact"]))
    if "prefix" in match:
        return st.sampled_from(["", "0", "x"]).map(lambda rest: str(match["prefix"]) + rest)
    if match.get("regex", "*") != "*":
        return _of_regex(str(match["regex"]))
    return st.sampled_from(list(free))


@lru_cache(maxsize=256)
def _of_regex(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True, alphabet=_ALPHABET).filter(lambda text: len(text) < 20)


def _altered_path(path: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [
            f"{path.rstrip('/')}/",
            f"{path}x",
            f"/x{path}",
            f"{path.rstrip('/')}/b",
            path[:-1] or "/",
            path.swapcase(),
            "/",
        ]
    ).filter(lambda found: found.startswith("/"))


def _spoil(draw: st.DrawFn, values: dict[str, str], names: list[str]) -> None:
    """Change, empty or drop one of the values, or give one where there is none."""
    if not names:
        return
    name = draw(st.sampled_from(sorted(names)))
    value = values.get(name)
    if value is None:
        values[name] = draw(st.sampled_from(_VALUES))
        return
    how = draw(st.sampled_from(["drop", "longer", "shorter", "case", "before", "other"]))
    if how == "drop":
        del values[name]
        return
    values[name] = {
        "longer": f"{value}0",
        "shorter": value[:-1],
        "case": value.swapcase(),
        "before": f"x{value}",
        "other": "other",
    }[how]
