"""Generated routes on the live data plane: whatever the configuration, a request gets what the oracle allows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings as hypothesis_settings

from mesh_conformance.properties import saved_cells
from mesh_conformance.properties.cell_stage import PRINTED_HOST, CellStage, Disagreement
from mesh_conformance.properties.reducing import BATCH, reduce
from pytest_mesh import confirming, documents
from pytest_mesh.failures import MeshFailure
from pytest_mesh.keys import RUN
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies.cells import HOST, Cell
from pytest_mesh.strategies.routes import draw_cells

REPEATS = 2
"""Times that each request is sent."""
PROBES = 5
"""More probes of a disagreement, that tell a wrong mesh from an unsteady one."""
PUSHES = 12
"""Pushes of one check at most, from the first disagreement on."""


@pytest.mark.mesh_feature("VSRouteModel")
def test_generated_routes_do_what_the_model_says(
    cell_stage: CellStage, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> None:
    where = saved_cells.directory(pytestconfig.stash[RUN].options.artifacts)
    replayed = saved_cells.load(where)
    cells = [*replayed, *draw_cells(hypothesis_settings().max_examples, mesh_settings.seed)]
    for start in range(0, len(cells), BATCH):
        found = cell_stage.disagreements(cells[start : start + BATCH], repeats=REPEATS)
        if found:
            _fail(cell_stage, found, mesh_settings.seed, pytestconfig)
    cell_stage.namespace.facts(
        cells=len(cells),
        replayed=len(replayed),
        requests=cell_stage.requests,
        pushes=cell_stage.pushes,
        seed=mesh_settings.seed,
        oracle=confirming.standing(),
    )


def _fail(stage: CellStage, found: Sequence[Disagreement], seed: int, config: pytest.Config) -> None:
    smallest = min(found, key=lambda one: one.cell.size)
    used = stage.pushes
    repeated = stage.persistence(smallest, PROBES)
    steady = repeated == PROBES
    if steady:

        def attempt(cells: Sequence[Cell]) -> list[Disagreement]:
            return stage.disagreements(cells, repeats=1)

        smallest = reduce(smallest, attempt, rounds=PUSHES - (stage.pushes - used) - 1)
    kind = f"{'every time' if steady else 'not every time'} ({repeated} of {PROBES} more probes)"
    reason = _told(stage, smallest, kind)
    where = saved_cells.directory(config.stash[RUN].options.artifacts)
    path = saved_cells.save(where, smallest.cell, "\n".join(smallest.verdict.differences))
    stage.namespace.facts(
        seed=seed,
        found=used,
        pushes=stage.pushes,
        disagreements=len(found),
        deterministic=steady,
        cell=smallest.cell.to_json(),
    )
    raise MeshFailure(
        f"{reason}\n{len(found)} requests of generated cells disagree (seed {seed}); the smallest took "
        f"{stage.pushes} pushes; saved as {path}, which is tried first from here on"
    )


def _told(stage: CellStage, one: Disagreement, kind: str) -> str:
    document, prediction = stage.printed(one)
    request = str(one.request).replace(HOST, PRINTED_HOST)
    return "\n".join(
        [
            f"{request} gets what is not allowed, {kind}: {'; '.join(one.verdict.differences)}",
            "under this VirtualService:",
            *(f"  {line}" for line in documents.write(document).splitlines()),
            prediction.explain(),
        ]
    )
