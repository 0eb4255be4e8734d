"""The order in which smaller cells are tried: a cell is minimal only when everything one step smaller was."""

from __future__ import annotations

import pytest

from pytest_mesh.strategies.reductions import reductions, steps
from pytest_mesh.strategies.routes import draw_cells

CELLS = sorted(draw_cells(20, 3), key=lambda cell: len(reductions(cell)))[::6]


@pytest.mark.parametrize("room", [0, 3])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.key[:8])
def test_no_cell_of_one_step_makes_way_for_one_of_two(cell, room):
    first = reductions(cell)

    found = steps(cell, len(first) + room)

    assert found[: len(first)] == first
    rest = found[len(first) :]
    assert len(rest) <= room
    assert not {one.key for one in rest} & {one.key for one in first}
    assert rest == sorted(rest, key=lambda one: one.size)
