"""The stage of the cells: the cast behind two Services, one client. Started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_conformance.counters import ALL_STATS, assert_reaches
from mesh_conformance.properties import saved_cells
from mesh_conformance.properties.cell_stage import CLIENT, CellStage
from mesh_conformance.stage import SharedNamespace, shared_namespace
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.keys import RUN
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a saved cell that cannot be read before anything is started for it."""
    if any(item.path.name == "test_cells.py" and item.path.parent == Path(__file__).parent for item in session.items):
        saved_cells.load(saved_cells.directory(session.config.stash[RUN].options.artifacts))


@pytest.fixture(scope="package")
def shared_cells(
    mesh: RunningMesh, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[SharedNamespace]:
    """The workloads, started once."""
    with shared_namespace(mesh, mesh_settings, pytestconfig, room=Path(__file__).parent) as shared:
        stage = shared.namespace
        for service, versions in cast.VERSIONS.items():
            stage.stand_in(service, versions=versions, wait=False)
        stage.apply([cast.SIDE_SERVICE, cast.SUBSETS])
        client = shared.clients[CLIENT] = stage.client(CLIENT, annotations=ALL_STATS)
        assert_reaches(stage, client, f"http://{cast.TARGET}")
        yield shared


@pytest.fixture
def cell_stage(shared_cells: SharedNamespace, request: pytest.FixtureRequest) -> CellStage:
    """The stage, for one check."""
    return CellStage(shared_cells.lend(request.node), shared_cells.clients[CLIENT])
