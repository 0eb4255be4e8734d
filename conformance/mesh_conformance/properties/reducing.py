"""Makes a failing cell small in few pushes: each round tries a hundred smaller cells at once and keeps the smallest.

Pure but for the function that tries; it knows no mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from pytest_mesh.strategies.cells import Cell
from pytest_mesh.strategies.reductions import steps


class Failing(Protocol):
    """What a cell shows."""

    @property
    def cell(self) -> Cell:
        """The cell, with the one request that shows it."""


F = TypeVar("F", bound=Failing)

BATCH = 100
"""Cells of one push."""


def reduce(found: F, attempt: Callable[[Sequence[Cell]], list[F]], *, rounds: int) -> F:
    """Give the smallest failing cell that so many pushes lead to; ``attempt`` pushes cells and gives those that still fail."""
    for _ in range(rounds):
        candidates = steps(found.cell, BATCH)
        failing = attempt(candidates) if candidates else []
        if not failing:
            break
        found = min(failing, key=lambda one: one.cell.size)
    return found
