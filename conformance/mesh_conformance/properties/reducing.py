"""Makes a failing cell small in few pushes: each round tries a hundred smaller cells at once and keeps the smallest.

Pure but for the function that tries; it knows no mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mesh_conformance.properties.cell_stage import Disagreement
from pytest_mesh.strategies.cells import Cell
from pytest_mesh.strategies.reductions import steps

Try = Callable[[Sequence[Cell]], list[Disagreement]]
"""Pushes cells and gives those that still fail."""

BATCH = 100
"""Cells of one push."""


def reduce(found: Disagreement, attempt: Try, *, rounds: int) -> Disagreement:
    """Give the smallest failing cell that so many pushes lead to."""
    for _ in range(rounds):
        candidates = steps(found.cell, BATCH)
        failing = attempt(candidates) if candidates else []
        if not failing:
            break
        found = min(failing, key=lambda one: one.cell.size)
    return found
