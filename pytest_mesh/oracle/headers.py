"""Header changes of a route and its destinations, in the order in which a proxy makes them (R17, W8)."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_mesh.oracle.model import HeaderChanges
from pytest_mesh.oracle.requests import Pairs, joined

Stage = Sequence[HeaderChanges]
"""Changes that are made together: all removals, then every ``set``, then every ``add``."""


def stages(route: HeaderChanges, branch: HeaderChanges, *, single: bool) -> tuple[Stage, ...]:
    """Order the changes: a single destination's count as more of the route's own; a branch's come before the route's."""
    return ((route, branch),) if single else ((branch,), (route,))


def changed(before: Pairs, order: Sequence[Stage]) -> Pairs:
    """Make the changes."""
    headers = list(before)
    for stage in order:
        removed = {name.lower() for changes in stage for name in changes.remove if not internal(name)}
        headers = [item for item in headers if item[0] not in removed]
        for changes in stage:
            for name, value in sorted(changes.set.items()):
                if not internal(name):
                    lower = name.lower()
                    headers = [*(item for item in headers if item[0] != lower), (lower, value)]
        for changes in stage:
            headers += [(name.lower(), value) for name, value in sorted(changes.add.items()) if not internal(name)]
    return tuple(headers)


def watched(order: Sequence[Stage]) -> list[str]:
    """Give the names, in lower case, of every header that the changes touch."""
    names = {
        name.lower()
        for stage in order
        for changes in stage
        for name in (*changes.set, *changes.add, *changes.remove)
        if not internal(name)
    }
    return sorted(names)


def expected(before: Pairs, order: Sequence[Stage]) -> dict[str, str | None]:
    """Give the values of every header that the changes touch, after them."""
    after = changed(before, order)
    return {name: joined(after, name) for name in watched(order)}


def authority(changes: HeaderChanges) -> str:
    """Give the authority that header changes ask for: ``set`` before ``add`` (R3); empty = none."""
    for values in (changes.set, changes.add):
        for name, value in values.items():
            if name.lower() in {"host", ":authority"}:
                return value
    return ""


def internal(name: str) -> bool:
    """Whether header changes leave a name alone."""
    return name.startswith(":") or name.lower() == "host"
