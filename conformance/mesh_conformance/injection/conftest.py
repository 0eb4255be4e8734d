"""What the injection checks share: an injected namespace with a server and a client, and a plain one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_conformance.counters import ALL_STATS
from mesh_conformance.stage import SharedNamespace, shared_namespace
from pytest_mesh import stand_ins
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client

ROOM = Path(__file__).parent
ACCOUNT = "bookstore"
"""ServiceAccount of the pods that are created as a dry run; it is in both namespaces."""


@pytest.fixture(scope="package")
def shared_injected(
    mesh: RunningMesh, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[SharedNamespace]:
    """The injected namespace, started once."""
    with shared_namespace(mesh, mesh_settings, pytestconfig, room=ROOM) as shared:
        shared.namespace.apply(stand_ins.service_account(ACCOUNT))
        shared.namespace.stand_in("reviews", annotations=ALL_STATS, wait=False)
        shared.clients["tester"] = shared.namespace.client("tester", annotations=ALL_STATS)
        yield shared


@pytest.fixture(scope="package")
def shared_plain(
    mesh: RunningMesh, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[SharedNamespace]:
    """The namespace without the label; nothing runs in it."""
    with shared_namespace(mesh, mesh_settings, pytestconfig, room=ROOM, inject=False) as shared:
        shared.namespace.apply(stand_ins.service_account(ACCOUNT))
        yield shared


@pytest.fixture
def injected(shared_injected: SharedNamespace, request: pytest.FixtureRequest) -> MeshNamespace:
    """The injected namespace, for one check."""
    return shared_injected.lend(request.node)


@pytest.fixture
def plain(shared_plain: SharedNamespace, request: pytest.FixtureRequest) -> MeshNamespace:
    """The namespace without injection, for one check."""
    return shared_plain.lend(request.node)


@pytest.fixture
def tester(injected: MeshNamespace, shared_injected: SharedNamespace) -> Client:
    """The client inside the injected namespace."""
    del injected  # lent first: what the client does is written in the check's record
    return shared_injected.clients["tester"]
