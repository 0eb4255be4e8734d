"""Warnings about routes that can never match (messages IST0130 and IST0131).

The same analysis serves HTTP, TLS and TCP routes: a rule after a catch-all, a match
met before, a prefix covered by an earlier, shorter one. It refuses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import quote

Json = Mapping[str, Any]

_STRING_MATCHES = frozenset({"uri", "scheme", "method", "authority"})
"""Fields that ask for something even when they are empty: that there is such a header."""


def check_reachable(out: Findings, path: Path, routes: Sequence[Json] | None) -> None:
    """One list of routes, at ``spec.http``, ``spec.tls`` or ``spec.tcp``."""
    seen: dict[str, int] = {}
    catch_all = False
    prefixes: list[tuple[int, int, Json]] = []
    for number, route in enumerate(routes or ()):
        here = (*path, number)
        matches = route.get("match") or ()
        if not matches:
            if catch_all:
                _unused(out, here, route, number, "only the last rule can have no matches")
            catch_all = True
            continue
        repeats = 0
        for index, match in enumerate(matches):
            if catch_all:
                _unused(out, here, route, number, "route without matches defined before")
                continue
            key = _key(match)
            if key in seen:
                first = _name(routes, seen[key])
                _ineffective(out, (*here, "match", index), _name(routes, number), _match_name(match, index), first)
                repeats += 1
                continue
            seen[key] = number
            if (match.get("uri") or {}).get("prefix"):
                prefixes.append((number, index, match))
        if repeats == len(matches):
            _unused(out, here, route, number, "all matches used by prior rules")
    _check_prefixes(out, path, routes or (), prefixes)


def _key(match: Json) -> str:
    """What the match asks for: without its name, and without empty fields, which ask for nothing."""
    told = {name: value for name, value in match.items() if name != "name" and (value or name in _STRING_MATCHES)}
    return json.dumps(told, sort_keys=True)


def _check_prefixes(
    out: Findings, path: Path, routes: Sequence[Json], prefixes: Sequence[tuple[int, int, Json]]
) -> None:
    for at, (early_number, early_index, early) in enumerate(prefixes):
        for number, index, late in prefixes[at + 1 :]:
            if early["uri"]["prefix"] == late["uri"]["prefix"] or not _covers(early, late):
                continue
            covered = f"{_match_name(late, index)} of prefix {late['uri']['prefix']}"
            cover = (
                f"{_match_name(early, early_index)} of prefix {early['uri']['prefix']} on {_name(routes, early_number)}"
            )
            _ineffective(out, (*path, number, "match", index), _name(routes, number), covered, cover)


def _covers(early: Json, late: Json) -> bool:
    if not late["uri"]["prefix"].startswith(early["uri"]["prefix"]) or early.get("port", 0) != late.get("port", 0):
        return False
    if not _wider(_text(early.get("method")) or "exact:GET", _text(late.get("method")) or "exact:GET"):
        return False
    if not _wider(_text(early.get("authority")), _text(late.get("authority"))):
        return False
    for field in ("headers", "queryParams", "withoutHeaders"):
        ours, theirs = early.get(field) or {}, late.get(field) or {}
        if ours.keys() != theirs.keys():
            return False
        if not all(_wider(_text(ours[name]), _text(theirs[name])) for name in ours):
            return False
    return True


def _wider(early: str, late: str) -> bool:
    return early == late or early.startswith(late)


def _text(match: Json | None) -> str:
    if match and match.get("exact"):
        return f"exact:{match['exact']}"
    if match and match.get("prefix"):
        return f"prefix:{match['prefix']}"
    return ""


def _unused(out: Findings, path: Path, route: Json, number: int, reason: str) -> None:
    name = _route_name(route, number)
    out.warning(path, "IST0130", f"virtualService rule {name} not used ({reason})")


def _ineffective(out: Findings, path: Path, rule: str, match: str, earlier: str) -> None:
    out.warning(
        path,
        "IST0131",
        f"virtualService rule {rule} match {match} is not used (duplicate/overlapping match in rule {earlier})",
    )


def _name(routes: Sequence[Json] | None, number: int) -> str:
    return _route_name((routes or ())[number], number)


def _route_name(route: Json, number: int) -> str:
    return quote(route["name"]) if route.get("name") else f"#{number}"


def _match_name(match: Json, index: int) -> str:
    return quote(match["name"]) if match.get("name") else f"#{index}"
