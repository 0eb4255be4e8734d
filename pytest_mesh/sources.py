"""Where a test's documents come from: a path beside the test, text, or plain data; and how they are ordered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mesh import documents
from pytest_mesh.contracts import Json

Source = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]

_ORDER = {
    "Namespace": 0,
    "CustomResourceDefinition": 0,
    "ServiceAccount": 1,
    "ConfigMap": 1,
    "Secret": 1,
    "Service": 2,
    "DestinationRule": 4,
    "VirtualService": 5,
}
"""Subsets come before the routes that name them; kinds that are not listed come between."""


def read(source: Source, bases: Sequence[Path]) -> list[tuple[Json, str]]:
    """Give documents, each with the name of its origin.

    A string with a line break or a colon is YAML, else a path, looked for below
    ``bases`` in turn. Raises ``documents.DocumentError``.
    """
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source and ":" not in source):
        path = _locate(Path(source), bases)
        return [(document, str(source)) for document in documents.read(path)]
    if isinstance(source, str):
        return [(document, "text") for document in documents.parse(source)]
    items = [source] if isinstance(source, Mapping) else list(source)
    return [(document, "data") for document in documents.parse(documents.write(*items), source="data")]


def in_order(found: Sequence[tuple[Json, str]]) -> list[tuple[Json, str]]:
    """Give documents in the order in which they are to be applied; otherwise as they stand."""
    return sorted(found, key=lambda item: _ORDER.get(item[0]["kind"], 3))


def _locate(path: Path, bases: Sequence[Path]) -> Path:
    for base in bases:
        if (base / path).is_file():
            return base / path
    looked = ", ".join(dict.fromkeys(str(base) for base in bases))
    raise documents.DocumentError(f"{path}: no such file below {looked}")
