"""What the identity checks share: a meshed server, a meshed client, and a prober whose pod has no proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_conformance.stage import SharedNamespace, shared_namespace
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client


@pytest.fixture(scope="package")
def shared_bank(
    mesh: RunningMesh, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[SharedNamespace]:
    """The namespace, started once."""
    with shared_namespace(mesh, mesh_settings, pytestconfig, room=Path(__file__).parent) as shared:
        bank = shared.namespace
        bank.stand_in("vault", wait=False)
        shared.clients["prober"] = bank.client("prober", inject=False)
        shared.clients["tester"] = bank.client("tester")
        yield shared


@pytest.fixture
def bank(shared_bank: SharedNamespace, request: pytest.FixtureRequest) -> MeshNamespace:
    """The namespace, for one check."""
    return shared_bank.lend(request.node)


@pytest.fixture
def tester(bank: MeshNamespace, shared_bank: SharedNamespace) -> Client:
    """The meshed client."""
    del bank  # lent first: what the client does is written in the check's record
    return shared_bank.clients["tester"]


@pytest.fixture
def prober(bank: MeshNamespace, shared_bank: SharedNamespace) -> Client:
    """The client without a proxy: what it sends is what arrives."""
    del bank
    return shared_bank.clients["prober"]
