"""``kubectl get``: Tables of the built-in kinds and of custom resources. Pure but for the clock of ages."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import builtins, jsonpaths, policycells, tablecells

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
        elif include == "None":
            row["object"] = None
        else:
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
    cells = tablecells.COLUMNS.get(key) or policycells.COLUMNS.get(key, ())
    known = {title.lstrip("*"): cell for title, cell in cells}
    known |= {"Name": tablecells.name, "Age": known.get("Age", tablecells.age), "Created At": _created}
    columns = _recorded().get(key)
    if columns is None:
        names = [name for name in known if name != "Created At"]
        columns = [
            _definition(name, "string", f"{name} of the object", 0) for name in ("Name", *names) if name in known
        ]
    return [(column, known.get(column["name"], tablecells.absent)) for column in columns]


@cache
def _recorded() -> dict[str, list[Json]]:
    """Give the columns of each built-in kind as a real API server declares them."""
    found: dict[str, list[Json]] = builtins.load("columns.json.gz")
    return found


def _created(obj: Json) -> Any:
    return obj["metadata"].get("creationTimestamp")


def _cells(info: ResourceInfo) -> list[tuple[Json, Cell]]:
    if not info.custom:
        return _builtin_cells(info.key)
    name, age = (next(one for one in _recorded()["configmaps"] if one["name"] == title) for title in ("Name", "Age"))
    found: list[tuple[Json, Cell]] = [(name, tablecells.name)]
    if not info.columns:
        found.append(({**age, "type": "date"}, tablecells.age))
    for column in info.columns:
        definition = _definition(
            column["name"],
            column["type"],
            column.get("description")
            or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
            column.get("priority", 0),
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
