"""Cells that failed once: kept as YAML, and tried first in every later run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_mesh import documents
from pytest_mesh.strategies.cells import Cell

DIRECTORY = "cells"


def directory(artifacts: str) -> Path:
    """Give the directory of the cells: beside that of the artifacts."""
    return Path(artifacts).parent / DIRECTORY


def load(where: Path) -> list[Cell]:
    """Read every saved cell; raises ``pytest.UsageError`` for a file that is none, or of another version."""
    found = []
    for path in sorted(where.glob("*.yaml")):
        try:
            found.append(_read(path.read_text()))
        except OSError as error:
            raise pytest.UsageError(f"{path}: cannot be read as a saved cell: {error.strerror}; remove it") from error
        except (ValueError, RecursionError) as error:
            raise pytest.UsageError(f"{path}: {error}; delete it, or run the version that wrote it") from error
    return found


def _read(text: str) -> Cell:
    """Read one cell; raises ValueError."""
    data = documents.load(text, source="the cell")
    cell = Cell.from_json(data if isinstance(data, dict) else {})
    words = [word for one in cell.requests for word in (one.method, one.path, one.authority)]
    if not (all(isinstance(one, dict) for one in cell.http) and all(isinstance(one, str) for one in words)):
        raise ValueError("no cell: want mappings in http, and text in requests")
    try:
        json.dumps(cell.to_json())
    except TypeError as error:
        raise ValueError(f"no cell: {error}") from error
    return cell


def save(where: Path, cell: Cell, reason: str) -> Path:
    """Write a cell with the reason why it is kept; gives the file."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{cell.key}.yaml"
    comment = "".join(f"# {line}\n" for line in reason.splitlines())
    path.write_text(comment + documents.write(cell.to_json()))
    return path
