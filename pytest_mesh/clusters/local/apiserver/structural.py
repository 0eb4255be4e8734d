"""Prunes and defaults an instance of a CRD by its structural schema. Pure.

It finds no faults (``validation`` does); values of a wrong type pass through it untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import objects

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
_TYPE_META = ("apiVersion", "kind", "metadata")


def prune(value: Any, schema: Any, *, root: bool = True) -> tuple[Any, list[str]]:
    """Give ``value`` without the fields that ``schema`` does not name, and their paths."""
    dropped: list[str] = []
    return _prune(value, schema, "", dropped, keep=_TYPE_META if root else ()), dropped


def _prune(value: Any, schema: Any, path: str, dropped: list[str], *, keep: tuple[str, ...] = ()) -> Any:
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, dict):
            return value
        return [_prune(item, items, f"{path}[{index}]", dropped) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    preserve = schema.get(PRESERVE, False)
    if schema.get(EMBEDDED):
        keep = _TYPE_META
    if not properties and additional is None and not preserve and "type" not in schema:
        # A schema that says nothing of its fields (x-kubernetes-int-or-string, or none) has none to drop.
        return value
    prefix = f"{path}." if path else ""
    result: Json = {}
    for name, inner in value.items():
        if name in properties:
            if name in keep and name == "metadata":
                result[name] = inner
            else:
                result[name] = _prune(inner, properties[name], f"{prefix}{name}", dropped)
        elif isinstance(additional, dict):
            result[name] = _prune(inner, additional, f"{prefix}{name}", dropped)
        elif name in keep or preserve or additional is True:
            result[name] = inner
        else:
            dropped.append(f"{prefix}{name}")
    return result


def default(value: Any, schema: Any) -> None:
    """Fill in the schema's defaults, in place; a null that may not be null counts as absent."""
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for item in value:
                default(item, items)
        return
    if not isinstance(value, dict):
        return
    properties = schema.get("properties")
    if properties:
        for name, known in properties.items():
            absent = name not in value or (value[name] is None and not known.get("nullable"))
            if absent and "default" in known:
                value[name] = objects.copy(known["default"])
            elif absent and name in value:
                del value[name]
            if name in value and name != "metadata":
                default(value[name], known)
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        for name, inner in value.items():
            if not properties or name not in properties:
                default(inner, additional)
