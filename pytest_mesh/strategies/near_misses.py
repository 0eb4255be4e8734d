"""Requests near a list of http routes: one that fulfils a block's conditions, then at most two small faults.

Near misses are what tells a right mesh from a nearly right one: a request drawn blindly meets no condition at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.strategies.cells import HOST, Sent
from pytest_mesh.strategies.choices import Choose
from pytest_mesh.strategies.regexes import example

_METHODS = ("GET", "POST", "PUT", "DELETE")
_VALUES = ("v1", "v2", "v10", "a")


def near(choose: Choose, http: Sequence[Json], *, any_authority: bool = False) -> Sent:
    """Give a request that fulfils, or nearly fulfils, some match block of these routes.

    ``any_authority``: whether it may ask for a host that is not the routes' own, where a block wants that.
    """
    block = choose([block for route in http for block in (route.get("match") or [{}])])
    path = _path(choose, block)
    method = _string(choose, block["method"], _METHODS) if "method" in block else "GET"
    if method not in _METHODS:
        # Proxies refuse a method that nobody knows before they route it.
        method = choose(_METHODS)
    authority = _string(choose, block["authority"], (HOST,)) if "authority" in block else HOST
    if not any_authority and authority not in {HOST, f"{HOST}:80"}:
        authority = HOST
    headers = {name: _string(choose, match, _VALUES) for name, match in (block.get("headers") or {}).items()}
    query = {name: _string(choose, match, _VALUES) for name, match in (block.get("queryParams") or {}).items()}
    for _ in range(choose([0, 1, 1, 2])):
        fault = choose(_faults(block))
        if fault == "path":
            path = _altered(choose, path)
        elif fault == "method":
            method = choose(_METHODS)
        elif fault == "authority":
            authority = choose([HOST, f"{HOST}:80", f"{HOST}:81"])
        elif fault == "headers":
            _spoil(choose, headers, block["headers"])
        elif fault == "without":
            name = choose(sorted(block["withoutHeaders"]))
            headers[name] = _string(choose, block["withoutHeaders"][name], _VALUES)
            if choose([False, True]):
                _spoil(choose, headers, [name])
        else:
            _spoil(choose, query, block["queryParams"])
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return Sent(
        path=f"{path}?{text}" if text else path, method=method, headers=tuple(headers.items()), authority=authority
    )


def _faults(block: Json) -> list[str]:
    known = {"headers": "headers", "withoutHeaders": "without", "queryParams": "query", "authority": "authority"}
    return ["path", "path", "method", *(fault for key, fault in known.items() if block.get(key))]


def _path(choose: Choose, block: Json) -> str:
    if "uri" not in block:
        return choose(["/", "/a", "/a/b"])
    found = _string(choose, block["uri"], ("/", "/a"))
    if "prefix" in block["uri"]:
        found += choose(["", "", "b", "/b"])
    if block.get("ignoreUriCase") and choose([False, True]):
        found = found.swapcase()
    return found if found.startswith("/") else f"/{found}"


def _string(choose: Choose, match: Mapping[str, Any], free: Sequence[str]) -> str:
    """Give a string that a match takes."""
    if "exact" in match:
        return str(match["exact"])
    if "prefix" in match:
        return str(match["prefix"]) + choose(["", "0", "x"])
    if match.get("regex", "*") != "*":
        return example(choose, str(match["regex"]))
    return choose(free)


def _altered(choose: Choose, path: str) -> str:
    bare = path.rstrip("/")
    return choose([f"{bare}/", f"{path}x", f"/x{path}", f"{bare}/b", path[:-1] or "/", path.swapcase(), "/"])


def _spoil(choose: Choose, values: dict[str, str], names: Sequence[str] | Mapping[str, Any]) -> None:
    """Change, empty or drop one of the values, or give one where there is none."""
    name = choose(sorted(names))
    value = values.pop(name, None)
    if value is None:
        values[name] = choose(_VALUES)
        return
    options = [f"{value}0", value[:-1], value.swapcase(), f"x{value}", "other"]
    index = choose(range(len(options) + 1))
    if index:
        values[name] = options[index - 1]
