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
        raise errors.bad_request(f"unknown patch directive: {directive}")
    result = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        result = {name: value for name, value in result.items() if name in patch[RETAIN]}
    for name, values in patch.items():
        if name.startswith(DELETE_FROM):
            field = name.removeprefix(DELETE_FROM)
            if field in result:
                result[field] = [item for item in result[field] if item not in values]
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
            result[field] = _ordered(result[field], order, _merge_key(fieldsets.child(schema, field)[0]))
    return result


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
    if not key:
        return live + [item for item in patch if item not in live]
    items = fieldsets.resolve(schema.get("items"))
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise errors.bad_request(f"map: {item!r} does not contain declared merge key: {key}")
        index = next((i for i, known in enumerate(live) if known.get(key) == item[key]), None)
        if item.get(DIRECTIVE) == "delete":
            if index is not None:
                del live[index]
        elif index is None:
            live.append(_object({}, item, items))
        else:
            live[index] = _object(live[index], item, items)
    return live


def _ordered(live: list[Any], order: list[Any], key: str) -> list[Any]:
    """Put the items that the patch names into its order; the others keep their places after those they followed."""
    identities = [item[key] if key and isinstance(item, dict) else item for item in order]
    place = {str(identity): index for index, identity in enumerate(identities)}
    last = -1
    ranks = []
    for index, item in enumerate(live):
        identity = str(item.get(key) if key and isinstance(item, dict) else item)
        last = place.get(identity, last)
        ranks.append((last, identity not in place, index))
    return [live[rank[2]] for rank in sorted(ranks)]


def _clean(value: Any) -> Any:
    """Drop directives and nulls from a part of a patch that becomes part of the object as it is."""
    if isinstance(value, dict):
        return {n: _clean(inner) for n, inner in value.items() if inner is not None and not n.startswith("$")}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value
