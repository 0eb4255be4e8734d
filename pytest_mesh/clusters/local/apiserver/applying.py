"""Server-side apply: merges a configuration into an object and drops what its manager no longer applies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import fieldsets, objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mesh.clusters.local.apiserver.fieldsets import Path, Schema
    from pytest_mesh.contracts import Json


def merge(live: Json, applied: Json, schema: Any) -> Json:
    """Give a new object: ``live`` with everything that ``applied`` says."""
    merged: Json = _merge(live, objects.copy(applied), fieldsets.resolve(schema))
    return merged


def _merge(live: Any, applied: Any, schema: Schema) -> Any:
    if isinstance(applied, dict) and isinstance(live, dict) and not fieldsets.is_atomic_map(schema):
        result = dict(live)
        for name, value in applied.items():
            if value is None:
                result.pop(name, None)
            elif name in result:
                result[name] = _merge(result[name], value, fieldsets.child(schema, name)[0])
            else:
                result[name] = value
        return result
    if isinstance(applied, list) and isinstance(live, list) and fieldsets.list_type(schema) != "atomic":
        return _merge_lists(live, applied, schema)
    return applied


def _merge_lists(live: list[Any], applied: list[Any], schema: Schema) -> list[Any]:
    items = fieldsets.resolve(schema.get("items"))
    wanted = {fieldsets.step_of(item, schema): item for item in applied}
    result = []
    for item in live:
        step = fieldsets.step_of(item, schema)
        result.append(_merge(item, wanted.pop(step), items) if step in wanted else item)
    result.extend(wanted.values())
    return result


def remove(obj: Json, schema: Any, given_up: Iterable[Path], kept: set[Path]) -> Json:
    """Give a new object without the fields ``given_up``, except those that hold or are one of ``kept``.

    ``kept`` are all fields that somebody owns, prefixes of paths included by this function.
    """
    held = {path[:length] for path in kept for length in range(1, len(path) + 1)}
    result = objects.copy(obj)
    # Outermost first: an item of a list is found by its keys, which its own fields are.
    for path in sorted(given_up, key=len):
        if path not in held:
            _remove(result, fieldsets.resolve(schema), path, held)
    return result


def _remove(value: Any, schema: Schema, path: Path, held: set[Path], done: Path = ()) -> None:
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        name = step[2:]
        if name not in value:
            return
        if not rest:
            del value[name]
            return
        _remove(value[name], fieldsets.child(schema, name)[0], rest, held, (*done, step))
        if value[name] in ({}, []) and (*done, step) not in held:
            del value[name]
    elif isinstance(value, list) and fieldsets.list_type(schema) != "atomic":
        for index, item in enumerate(value):
            if fieldsets.step_of(item, schema) == step:
                if not rest:
                    del value[index]
                else:
                    _remove(item, fieldsets.resolve(schema.get("items")), rest, held, (*done, step))
                return
