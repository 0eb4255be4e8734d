"""Sets of fields as ``managedFields`` records them (FieldsV1), computed by the schema's list and map types. Pure.

A path is a tuple of FieldsV1 steps: ``("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}')``.
Who owns a set is ``ownership``'s matter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from pytest_mesh.clusters.local.apiserver import builtins

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

Path = tuple[str, ...]
Schema = dict[str, Any]

ANYTHING: Schema = {}
MEMBER = object()
"""The value of a path that names an entry and has paths of its own below it."""

METADATA: Path = ("f:metadata",)

_UNOWNED = {
    ("f:apiVersion",),
    ("f:kind",),
    METADATA,
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


class Shape:
    """A schema as far as ownership asks for it, read once; the parts below are read when something is there."""

    __slots__ = ("_additional", "_blank", "_fields", "_items", "atomic_list", "atomic_map", "schema")

    def __init__(self, schema: Any) -> None:
        self.schema = resolve(schema)
        self.atomic_map = is_atomic_map(self.schema)
        self.atomic_list = list_type(self.schema) == "atomic"
        self._fields: dict[str, tuple[str, Shape, bool]] = {}
        self._additional: Shape | None = None
        self._items: Shape | None = None
        self._blank: dict[Path, Any] | None = None

    def field(self, name: str) -> tuple[str, Shape, bool]:
        """Give a field's step, its shape, and whether it is a field of a struct (and not a key of a map)."""
        found = self._fields.get(name)
        if found is not None:
            return found
        properties = self.schema.get("properties")
        if properties and name in properties:
            found = self._fields[name] = (f"f:{name}", Shape(properties[name]), True)
            return found
        if self._additional is None:
            self._additional = Shape(self.schema.get("additionalProperties"))
        return f"f:{name}", self._additional, False

    @property
    def items(self) -> Shape:
        if self._items is None:
            self._items = Shape(self.schema.get("items"))
        return self._items

    @property
    def blank(self) -> dict[Path, Any]:
        """The paths of what Go writes before anything is said, structs and lists among them."""
        if self._blank is None:
            self._blank = {}
            _fill(zero(self.schema), self, (), self._blank, structs=True)
        return self._blank


_shapes: dict[int, Shape] = {}
"""Shapes by the identity of their schemas, which they keep alive; emptied when there are too many."""

MOST_SHAPES = 4096


def shape_of(schema: Any) -> Shape:
    """Give the shape of a whole object's schema."""
    schema = resolve(schema)
    found = _shapes.get(id(schema))
    if found is None:
        if len(_shapes) >= MOST_SHAPES:
            _shapes.clear()
        found = _shapes[id(schema)] = Shape(schema)
    return found


def flatten(obj: Json, schema: Any, *, structs: bool = False) -> dict[Path, Any]:
    """Give the owned fields of an object and their values; with ``structs`` every struct and list on the way too."""
    shape = shape_of(schema)
    if shape.atomic_map:
        return {(): obj}
    found: dict[Path, Any] = {}
    _fill(obj, shape, (), found, structs=structs)
    return found


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


def _fill(value: Json, shape: Shape, path: Path, found: dict[Path, Any], *, structs: bool) -> None:
    for name, inner in value.items():
        step, known, struct = shape.field(name)
        below = (*path, step)
        if len(below) <= 2 and below in _UNOWNED:
            if below == METADATA and isinstance(inner, dict):
                _fill(inner, known, below, found, structs=structs)
            continue
        if isinstance(inner, dict) and not known.atomic_map:
            if inner:
                _fill(inner, known, below, found, structs=structs)
            if structs or (inner and not struct):
                found[below] = MEMBER
            elif not inner:
                found[below] = inner
        elif isinstance(inner, list) and not known.atomic_list:
            _fill_list(inner, known, below, found, structs=structs)
            if structs:
                found[below] = MEMBER
            elif not struct:
                found[below] = MEMBER if inner else inner
        else:
            found[below] = inner


def _fill_list(value: list[Any], shape: Shape, path: Path, found: dict[Path, Any], *, structs: bool) -> None:
    items = shape.items
    for item in value:
        below = (*path, step_of(item, shape.schema))
        if isinstance(item, dict):
            if not items.atomic_map:
                _fill(item, items, below, found, structs=structs)
            found[below] = MEMBER
        else:
            if isinstance(item, list) and not items.atomic_list:
                _fill_list(item, items, below, found, structs=structs)
            found[below] = item


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


@lru_cache(maxsize=2048)
def to_json(paths: frozenset[Path]) -> Json:
    """Give the FieldsV1 form of a set: one object for all sets that are equal, to be read only."""
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


def from_json(fields: Json) -> frozenset[Path]:
    """Read a FieldsV1 form."""
    return _from_text(orjson.dumps(fields))


@lru_cache(maxsize=2048)
def _from_text(fields: bytes) -> frozenset[Path]:
    found: set[Path] = set()
    _read(orjson.loads(fields), (), found)
    return frozenset(found)


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
