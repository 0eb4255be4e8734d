"""Cells that failed once: kept as YAML, and tried first in every later run."""

from __future__ import annotations

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
            data = documents.load(path.read_text(), source=str(path))
            found.append(Cell.from_json(data if isinstance(data, dict) else {}))
        except ValueError as error:
            raise pytest.UsageError(f"{path}: {error}; delete it, or run the version that wrote it") from error
    return found


def save(where: Path, cell: Cell, reason: str) -> Path:
    """Write a cell with the reason why it is kept; gives the file."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{cell.key}.yaml"
    comment = "".join(f"# {line}\n" for line in reason.splitlines())
    path.write_text(comment + documents.write(cell.to_json()))
    return path
