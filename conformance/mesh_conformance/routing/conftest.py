"""The workloads that the routing checks share: ``reviews`` v1 and v2 behind a host per check, ``ratings``, one client.

Each check has a host of its own, so that no check meets another's VirtualService.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_conformance.counters import ALL_STATS, assert_reaches
from mesh_conformance.stage import SharedNamespace, shared_namespace
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client


@pytest.fixture(scope="package")
def shared_shop(
    mesh: RunningMesh, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[SharedNamespace]:
    """The shop, started once."""
    with shared_namespace(mesh, mesh_settings, pytestconfig, room=Path(__file__).parent) as shared:
        shop = shared.namespace
        shop.stand_in("reviews", versions=["v1", "v2"], wait=False)
        shop.stand_in("ratings", versions=["r1"], annotations=ALL_STATS, wait=False)
        shop.apply("hosts.yaml")
        tester = shared.clients["tester"] = shop.client("tester", annotations=ALL_STATS)
        assert_reaches(shop, tester, "http://reviews")
        yield shared


@pytest.fixture
def shop(shared_shop: SharedNamespace, request: pytest.FixtureRequest) -> MeshNamespace:
    """The shop, for one check."""
    return shared_shop.lend(request.node)


@pytest.fixture
def tester(shop: MeshNamespace, shared_shop: SharedNamespace) -> Client:
    """The client inside the shop."""
    del shop  # lent first: what the client does is written in the check's record
    return shared_shop.clients["tester"]
