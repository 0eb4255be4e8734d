"""Generated routes on two meshes side by side: of every request comes the same, or the difference is a known one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_conformance.differential.pair import Pair
from mesh_conformance.properties.reducing import BATCH, reduce
from pytest_mesh.differential.findings import Difference
from pytest_mesh.failures import Inconclusive, MeshFailure
from pytest_mesh.keys import RUN
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies.cells import Cell
from pytest_mesh.strategies.routes import draw_cells
from pytest_mesh.strategies.widening import widened

PROBES = 5
PUSHES = 12
"""Pushes for making one difference small, at most."""
REDUCED = 6
"""Differences that are made small; of the others the aspects and a case are told."""

pytestmark = [pytest.mark.mesh_differential, pytest.mark.timeout(3600)]


def test_two_meshes_do_the_same_with_generated_routes(
    pair: Pair, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> None:
    run = pytestconfig.stash[RUN]
    cells = widened(draw_cells(run.options.differential_cells, mesh_settings.seed), mesh_settings.seed)
    names = (pair.first.name, pair.second.name)
    if stale := pair.stale():
        raise MeshFailure(
            f"{run.options.known_differences}: no difference is left of {', '.join(one.id for one in stale)}: take it out"
        )
    began = time.monotonic()
    found: list[Difference] = []
    smallest: Sequence[Difference] = found
    done = 0
    try:
        for start in range(0, len(cells), BATCH):
            batch = cells[start : start + BATCH]
            found += pair.differences(batch)
            done += len(batch)
            run.progress(
                f"differential: {done} of {len(cells)} cells, {pair.first.requests} requests to each, "
                f"{len(found)} unexplained differences, {time.monotonic() - began:.0f} s"
            )
        smallest = _smallest(pair, found)
    finally:
        figures = {
            "meshes": list(names),
            "cells": done,
            "of": len(cells),
            "seed": mesh_settings.seed,
            "seconds": {"all": time.monotonic() - began, **pair.seconds},
            **pair.figures(),
            "unexplained": len(found),
            "differences": [one.to_json(names) for one in smallest],
        }
        where = Path(run.artifacts).parent / "differential.json"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(json.dumps(figures, indent=2))
        run.progress(f"differential: report in {where}")
    if found:
        told = "\n\n".join(one.told(names) for one in smallest)
        raise MeshFailure(
            f"{len(found)} requests of {done} cells differ between {names[0]} and {names[1]} "
            f"(seed {mesh_settings.seed}), of {len(smallest)} sorts:\n\n{told}"
        )
    if pair.undecided:
        raise Inconclusive(f"{pair.undecided} of {pair.sampled} requests are undecided at the cap")


def _smallest(pair: Pair, found: Sequence[Difference]) -> list[Difference]:
    """Give one difference of each signature, probed again and made small where that is cheap enough."""
    sorts: dict[tuple[str, ...], Difference] = {}
    for one in sorted(found, key=lambda one: one.cell.size):
        sorts.setdefault(one.signature, one)
    out = []
    for number, one in enumerate(sorts.values()):
        out.append(_reduced(pair, one) if number < REDUCED else one)
    return out


def _reduced(pair: Pair, found: Difference) -> Difference:
    if found.kind == "shares":
        return found
    differed = pair.probe(found, PROBES)
    if differed < PROBES:
        return replace(found, probes=(differed, PROBES))

    def attempt(cells: Sequence[Cell]) -> list[Difference]:
        return [one for one in pair.differences(cells, repeats=1, draw=False) if one.signature == found.signature]

    return replace(reduce(found, attempt, rounds=PUSHES), probes=(differed, PROBES))
