"""The RFC 6902 patch that leads from one JSON value to another.

Lists of named objects (containers, volumes) are compared by name, so that an
injected container is one ``add`` and the user's containers are not repeated.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def difference(old: Any, new: Any, path: str = "") -> list[Json]:
    """Operations which, applied to ``old`` in order, give ``new``; what both share is not looked at."""
    if old is new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return _maps(old, new, path)
    if isinstance(old, list) and isinstance(new, list):
        return _lists(old, new, path)
    if type(old) is type(new) and old == new:
        return []
    return [{"op": "replace", "path": path, "value": new}]


def _maps(old: Json, new: Json, path: str) -> list[Json]:
    operations: list[Json] = [{"op": "remove", "path": f"{path}/{_escape(name)}"} for name in old if name not in new]
    for name, value in new.items():
        here = f"{path}/{_escape(name)}"
        if name in old:
            operations += difference(old[name], value, here)
        else:
            operations.append({"op": "add", "path": here, "value": value})
    return operations


def _lists(old: list[Any], new: list[Any], path: str) -> list[Json]:
    if len(old) == len(new) and all(one is other for one, other in zip(old, new, strict=True)):
        return []
    if old == new and _same_types(old, new):
        return []
    old_names, new_names = _names(old), _names(new)
    if old_names is None or new_names is None:
        return [{"op": "replace", "path": path, "value": new}]
    kept = [name for name in old_names if name in set(new_names)]
    if kept != [name for name in new_names if name in set(old_names)]:
        return [{"op": "replace", "path": path, "value": new}]
    operations: list[Json] = [
        {"op": "remove", "path": f"{path}/{index}"}
        for index in range(len(old) - 1, -1, -1)
        if old_names[index] not in kept
    ]
    before = dict(zip(old_names, old, strict=True))
    for index, (name, item) in enumerate(zip(new_names, new, strict=True)):
        if name in before:
            operations += difference(before[name], item, f"{path}/{index}")
        else:
            operations.append({"op": "add", "path": f"{path}/{index}", "value": item})
    return operations


def _names(items: list[Any]) -> list[str] | None:
    """The names of the items when each has one and no two share it."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if any(not isinstance(name, str) for name in names) or len(set(names)) != len(names):
        return None
    return [str(name) for name in names]


def _same_types(old: list[Any], new: list[Any]) -> bool:
    """Python holds True equal to 1, JSON does not."""
    return all(not difference(one, other) for one, other in zip(old, new, strict=True))


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
