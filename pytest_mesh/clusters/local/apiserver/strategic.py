"""Strategic merge patch, by the merge keys of the built-in schemas. Pure.

Custom resources have no merge keys: the caller refuses this patch type for them (415).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import errors, fieldsets

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.fieldsets import Schema
    from pytest_mesh.contracts import Json

DIRECTIVE = "$patch"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"
RETAIN = "$retainKeys"


def strategic_merge(target: Json, patch: Json, schema: Any) -> Json:
    """Give ``target`` changed by ``patch``; raises StatusError 400 for a directive that cannot be followed."""
    if not isinstance(patch, dict):
        raise errors.bad_request("error decoding patch: a strategic merge patch is an object")
    merged: Json = _object(target, patch, fieldsets.resolve(schema))
    return merged


def _object(target: Any, patch: Json, schema: Schema) -> Any:
    directive = patch.get(DIRECTIVE)
    if directive == "delete":
        return {}
    body = {name: value for name, value in patch.items() if not name.startswith("$")}
    if directive == "replace":
        return _clean(body)
    if directive not in (None, "merge"):
        raise errors.StatusError(500, "", f"unknown patch type: {directive} in map: {_go(patch)}")
    result = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        result = {name: value for name, value in result.items() if name in patch[RETAIN]}
    for name, values in patch.items():
        if name.startswith(DELETE_FROM):
            field = name.removeprefix(DELETE_FROM)
            if field in result:
                result[field] = [item for item in result[field] if item not in values]
    _check_orders(patch)
    for name, value in body.items():
        if value is None:
            result.pop(name, None)
            continue
        known = fieldsets.child(schema, name)[0]
        if isinstance(value, dict):
            merged = _object(result.get(name), value, known)
            if value.get(DIRECTIVE) == "delete":
                result.pop(name, None)
            else:
                result[name] = merged
        elif isinstance(value, list):
            result[name] = _list(result.get(name), value, known)
        else:
            result[name] = value
    for name, order in patch.items():
        field = name.removeprefix(ORDER)
        if name.startswith(ORDER) and isinstance(result.get(field), list):
            before = target.get(field) if isinstance(target, dict) else None
            result[field] = _woven(result[field], order, before or [], _merge_key(fieldsets.child(schema, field)[0]))
    return result


def _check_orders(patch: Json) -> None:
    """Raise StatusError 500 for items of a patch's list that its order does not name."""
    for name, order in patch.items():
        items = patch.get(name.removeprefix(ORDER))
        if not name.startswith(ORDER) or not isinstance(items, list):
            continue
        keys = next((list(one) for one in order if isinstance(one, dict)), [])
        named = [_go(one) for one in order]
        for item in items:
            if isinstance(item, dict) and item.get(DIRECTIVE) is None:
                identity = _go({key: item[key] for key in keys if key in item})
            elif not isinstance(item, dict):
                identity = _go(item)
            else:
                continue
            if identity not in named:
                text = f"The order in patch list:\n{_go(items)}\n doesn't match $setElementOrder list:\n{_go(order)}\n"
                raise errors.StatusError(500, "", text)


def _go(value: Any) -> str:
    """Give a value as Go prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{_go(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go(one) for one in value) + "]"
    return str(value)


def _merges(schema: Schema) -> bool:
    return "merge" in str(schema.get("x-kubernetes-patch-strategy", "")).split(",")


def _merge_key(schema: Schema) -> str:
    return str(schema.get("x-kubernetes-patch-merge-key", ""))


def _list(target: Any, patch: list[Any], schema: Schema) -> list[Any]:
    live = list(target) if isinstance(target, list) else []
    key = _merge_key(schema)
    replace = any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in patch)
    if not _merges(schema) or replace:
        return [_clean(item) for item in patch if not (isinstance(item, dict) and item.get(DIRECTIVE) == "replace")]
    before = list(live)
    if not key:
        return _woven(live + [item for item in patch if item not in live], patch, before, key)
    items = fieldsets.resolve(schema.get("items"))
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise errors.StatusError(500, "", f"map: {_go(item)} does not contain declared merge key: {key}")
        index = next((i for i, known in enumerate(live) if known.get(key) == item[key]), None)
        if item.get(DIRECTIVE) == "delete":
            if index is not None:
                del live[index]
        elif index is None:
            live.append(_object({}, item, items))
        else:
            live[index] = _object(live[index], item, items)
    return _woven(live, patch, before, key)


def _identity(item: Any, key: str) -> str:
    return str(item.get(key) if key and isinstance(item, dict) else item)


def _woven(merged: list[Any], order: list[Any], before: list[Any], key: str) -> list[Any]:
    """Put what a patch names in its order among the others, which keep theirs, as Kubernetes weaves the two."""
    named = {_identity(item, key): index for index, item in enumerate(order)}
    places = {_identity(item, key): index for index, item in enumerate(before)}
    left = [item for item in merged if _identity(item, key) not in named]
    right = sorted(
        (item for item in merged if _identity(item, key) in named), key=lambda item: named[_identity(item, key)]
    )
    woven: list[Any] = []
    while left and right:
        one, other = places.get(_identity(left[0], key), -1), places.get(_identity(right[0], key), -1)
        woven.append(left.pop(0) if 0 <= one < other else right.pop(0))
    return woven + left + right


def _clean(value: Any) -> Any:
    """Drop directives and nulls from a part of a patch that becomes part of the object as it is."""
    if isinstance(value, dict):
        return {n: _clean(inner) for n, inner in value.items() if inner is not None and not n.startswith("$")}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value
