"""The workloads that the protocol checks share: ``reviews`` v1 and v2, a port for each protocol, its routes, one client."""

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

PORTS = {80: 8080, 7000: 7070, 9000: 9090, 9443: 9443}
PROTOCOLS = {7000: "grpc", 9000: "tcp", 9443: "tls"}


@pytest.fixture(scope="package")
def shared_house(
    mesh: RunningMesh, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[SharedNamespace]:
    """The workloads, started once, with their routes: these are there before the client is."""
    with shared_namespace(mesh, mesh_settings, pytestconfig, room=Path(__file__).parent) as shared:
        house = shared.namespace
        house.stand_in("reviews", versions=["v1", "v2"], ports=PORTS, protocols=PROTOCOLS)
        house.apply("routes.yaml")
        caller = shared.clients["caller"] = house.client("caller", annotations=ALL_STATS)
        assert_reaches(house, caller, "http://reviews")
        yield shared


@pytest.fixture
def house(shared_house: SharedNamespace, request: pytest.FixtureRequest) -> MeshNamespace:
    """The workloads, for one check."""
    return shared_house.lend(request.node)


@pytest.fixture
def caller(house: MeshNamespace, shared_house: SharedNamespace) -> Client:
    """The client among them."""
    del house  # lent first: what the client does is written in the check's record
    return shared_house.clients["caller"]
