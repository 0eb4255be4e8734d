"""The built-in resources and their schemas, read from the package's data files.

What the data is and where it comes from: ``data/README.md``. Nothing here changes it.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).with_name("data")

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def load(name: str) -> Any:
    """Read one data file of the package."""
    return orjson.loads(gzip.decompress((DATA / name).read_bytes()))


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Give every built-in schema by its name; references are ``{"$ref": name}``, descriptions are left out."""
    found: dict[str, dict[str, Any]] = load("schemas.json.gz")
    return found


@cache
def descriptions() -> dict[str, tuple[str, dict[str, list[Any]]]]:
    """Give what each built-in schema says of itself and of its fields: ``[description, enum, enum of items]``."""
    found: dict[str, tuple[str, dict[str, list[Any]]]] = load("descriptions.json.gz")
    return found


def described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Give a built-in schema with its descriptions and enums, which only people read."""
    text, fields = descriptions().get(name, ("", {}))
    found = {**({"description": text} if text else {}), **schema}
    if "properties" in schema:
        found["properties"] = {
            field: _told(inner, fields.get(field, ())) for field, inner in schema["properties"].items()
        }
    return found


def _told(schema: dict[str, Any], row: Sequence[Any]) -> dict[str, Any]:
    text = row[0] if row else ""
    enum, of_items = (row[place] if len(row) > place else [] for place in (1, 2))
    found = {**({"description": text} if text else {}), **schema}
    if enum:
        found["enum"] = enum
    if of_items:
        found["items"] = {**found["items"], "enum": of_items}
    return found


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema that a reference names, with what the reference itself adds (a default, list keys)."""
    name = schema.get("$ref")
    if not isinstance(name, str):
        return schema
    target = schemas()[name]
    if len(schema) == 1:
        return target
    merged = _merged.get(id(schema))
    if merged is None:
        merged = _merged[id(schema)] = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return merged


_merged: dict[int, dict[str, Any]] = {}
"""Merged references by the identity of the referring schema, which lives as long as the process."""


def resources() -> list[ResourceInfo]:
    """Give every built-in resource in the order of discovery."""
    return [
        ResourceInfo(
            group=row["group"],
            version=row["version"],
            plural=row["plural"],
            singular=row["singular"],
            kind=row["kind"],
            list_kind=f"{row['kind']}List",
            namespaced=row["namespaced"],
            short_names=tuple(row["shortNames"]),
            categories=tuple(row["categories"]),
            verbs=tuple(row["verbs"]),
            subresources=frozenset(row["subresources"]),
            schema={"$ref": row["schema"]},
            stored_as="events" if row["plural"] == "events" else "",
        )
        for row in load("resources.json.gz")
    ]
