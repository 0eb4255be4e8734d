"""Tables, JSON and YAML on standard output: the last step of every command here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from mesh_reference import documents

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], gap: int = 5) -> str:
    """Aligned columns, ``gap`` spaces apart as istioctl's, without blanks at the ends of lines."""
    lines = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    shown = ((" " * gap).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in shown)


def data(value: Any, output: str) -> None:
    """Print as JSON or YAML."""
    if output == "json":
        click.echo(json.dumps(value, indent=2))
    else:
        click.echo(documents.dump(value), nl=False)


def problems(mesh: Mesh) -> None:
    """What could not be read, or is not served, on standard error: one line each."""
    for problem in (*mesh.unreadable, *(f"not served: {item}" for item in mesh.problems)):
        click.echo(problem, err=True)
