"""Sets of fields as ``managedFields`` records them (FieldsV1), computed by the schema's list and map types. Pure.

A path is a tuple of FieldsV1 steps: ``("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}')``.
Who owns a set is ``ownership``'s matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from pytest_mesh.clusters.local.apiserver import builtins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_mesh.contracts import Json

Path = tuple[str, ...]
Schema = dict[str, Any]

ANYTHING: Schema = {}
MEMBER = object()
"""The value of a path that names an entry and has paths of its own below it."""

_UNOWNED = {
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
        )
    ),
}  # fmt: skip


def resolve(schema: Any) -> Schema:
    """Give the schema itself, behind a reference if it is one."""
    return builtins.resolve(schema) if isinstance(schema, dict) else ANYTHING


def child(schema: Schema, name: str) -> tuple[Schema, bool]:
    """Give the schema of a field and whether it is a field of a struct (and not a key of a map)."""
    properties = schema.get("properties")
    if properties and name in properties:
        return resolve(properties[name]), True
    return resolve(schema.get("additionalProperties")), False


def list_type(schema: Schema) -> str:
    """Give ``map``, ``set`` or ``atomic``."""
    return str(schema.get("x-kubernetes-list-type", "atomic"))


def is_atomic_map(schema: Schema) -> bool:
    """Say whether an object of this schema has one owner as a whole."""
    return schema.get("x-kubernetes-map-type") == "atomic"


def step_of(item: Any, schema: Schema) -> str:
    """Give the step of one item of a list of type ``map`` or ``set``."""
    if list_type(schema) == "set":
        return "v:" + orjson.dumps(item).decode()
    properties = resolve(schema.get("items")).get("properties", {})
    keys = {}
    for key in sorted(schema["x-kubernetes-list-map-keys"]):
        if isinstance(item, dict) and key in item:
            keys[key] = item[key]
        elif "default" in properties.get(key, {}):
            keys[key] = properties[key]["default"]
    return "k:" + orjson.dumps(keys).decode()


def flatten(obj: Json, schema: Any, *, structs: bool = False) -> dict[Path, Any]:
    """Give the owned fields of an object and their values; with ``structs`` every struct and list on the way too."""
    return {path: value for path, value in _walk(obj, resolve(schema), (), structs) if path not in _UNOWNED}


def zero(schema: Any) -> Json:
    """Give what Go writes before anything is said: the structs that are no pointers, the lists that are never left out."""
    schema = resolve(schema)
    properties = schema.get("properties") or {}
    found: Json = {}
    for name, known in properties.items():
        if "x-struct" in known:
            found[name] = zero(known)
        elif name in schema.get("required", ()) and known.get("type") == "array":
            found[name] = []
        elif "x-null" in known or known.get("default") in ("", 0, False):
            found[name] = known.get("default")
    return found


def _walk(value: Any, schema: Schema, path: Path, structs: bool) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and not is_atomic_map(schema):
        for name, inner in value.items():
            known, struct = child(schema, name)
            below = (*path, f"f:{name}")
            if below in _UNOWNED and below != ("f:metadata",):
                continue
            yield from _walk(inner, known, below, structs)
            if structs and isinstance(inner, (dict, list)) and not _leaf(inner, known):
                yield below, MEMBER
            elif inner is None or inner == {} or not struct:
                yield (
                    below,
                    inner if not isinstance(inner, (dict, list)) or not inner or _leaf(inner, known) else MEMBER,
                )
    elif isinstance(value, list) and list_type(schema) != "atomic":
        items = resolve(schema.get("items"))
        for item in value:
            below = (*path, step_of(item, schema))
            yield from _walk(item, items, below, structs)
            yield below, MEMBER if isinstance(item, dict) else item
    else:
        yield path, value


def duplicate(value: Any, schema: Any, path: str = "") -> str | None:
    """Give where a list holds two items of one identity, and which, or None."""
    schema = resolve(schema)
    if isinstance(value, dict):
        for name, inner in value.items():
            if (found := duplicate(inner, child(schema, name)[0], f"{path}.{name}")) is not None:
                return found
    elif isinstance(value, list) and list_type(schema) != "atomic":
        seen: set[str] = set()
        for item in value:
            step = step_of(item, schema)
            if step in seen:
                return f"{path}: duplicate entries for key {shown((step,))}"
            seen.add(step)
            if (found := duplicate(item, schema.get("items"), path + shown((step,)))) is not None:
                return found
    return None


def _leaf(value: Any, schema: Schema) -> bool:
    return is_atomic_map(schema) if isinstance(value, dict) else list_type(schema) == "atomic"


def to_json(paths: Iterable[Path]) -> Json:
    """Give the FieldsV1 form of a set."""
    root: Json = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    _trim(root)
    return root


def _trim(node: Json) -> None:
    """Drop the mark of membership where a node has nothing else: there the node itself says it."""
    for inner in node.values():
        if len(inner) == 1 and "." in inner:
            inner.clear()
        else:
            _trim(inner)


def from_json(fields: Json) -> set[Path]:
    """Read a FieldsV1 form."""
    found: set[Path] = set()
    _read(fields, (), found)
    return found


def _read(node: Json, path: Path, found: set[Path]) -> None:
    for step, inner in node.items():
        if step == ".":
            found.add(path)
        elif not inner:
            found.add((*path, step))
        else:
            _read(inner, (*path, step), found)


def shown(path: Path) -> str:
    """Give a path as messages show it: ``.spec.ports[port=80,protocol="TCP"].name``."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = orjson.loads(rest)
            text += "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
        else:
            text += f"[={rest}]"
    return text
