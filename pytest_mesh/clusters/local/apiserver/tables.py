"""``kubectl get``: Tables of the built-in kinds and of custom resources. Pure but for the clock of ages."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import jsonpaths, tablecells

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

    Cell = Callable[[Json], Any]


def table(
    info: ResourceInfo, objs: list[Json], metadata: Json, *, include: str = "Metadata", columns: bool = True
) -> Json:
    """Give the Table of some objects; ``include`` is ``None``, ``Metadata`` or ``Object``."""
    cells = _cells(info)
    rows = []
    for obj in objs:
        row: Json = {"cells": [cell(obj) for _, cell in cells]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [definition for definition, _ in cells] if columns else None,
        "rows": rows,
    }


def _definition(name: str, kind: str, description: str, priority: int) -> Json:
    form = "name" if name == "Name" else ""
    return {"name": name, "type": kind, "format": form, "description": description, "priority": priority}


@lru_cache(maxsize=256)
def _builtin_cells(key: str) -> list[tuple[Json, Cell]]:
    columns = tablecells.COLUMNS.get(key, (("Age", tablecells.age),))
    named = [("Name", tablecells.name), *columns]
    found = []
    for title, cell in named:
        wide = title.startswith("*")
        text = title.lstrip("*")
        kind = "integer" if cell in tablecells.INTEGERS else "string"
        found.append((_definition(text, kind, f"{text} of the object", 1 if wide else 0), cell))
    return found


def _cells(info: ResourceInfo) -> list[tuple[Json, Cell]]:
    if not info.custom:
        return _builtin_cells(info.key)
    found: list[tuple[Json, Cell]] = [(_definition("Name", "string", "Name of the object", 0), tablecells.name)]
    if not info.columns:
        found.append((_definition("Age", "date", "Time since the object was created", 0), tablecells.age))
    for column in info.columns:
        definition = _definition(
            column["name"], column["type"], column.get("description", ""), column.get("priority", 0)
        )
        definition["format"] = column.get("format", "")
        found.append((definition, _custom_cell(column)))
    return found


def _custom_cell(column: Json) -> Cell:
    path, kind = column["jsonPath"], column["type"]

    def cell(obj: Json) -> Any:
        values = jsonpaths.find(obj, path)
        if not values:
            return None
        value = values[0] if len(values) == 1 else ",".join(str(one) for one in values)
        if kind == "date" and isinstance(value, str):
            return tablecells.since(value)
        if kind in ("integer", "number") and not isinstance(value, bool) and isinstance(value, (int, float)):
            return value
        if kind == "boolean" and isinstance(value, bool):
            return value
        return tablecells.text(value)

    return cell
