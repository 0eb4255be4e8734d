"""The stage of the differential run: the cast and a client in a namespace of each mesh. Started once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mesh_conformance.counters import ALL_STATS, assert_reaches
from mesh_conformance.differential.pair import Pair
from mesh_conformance.differential.side import CLIENT, Side
from pytest_mesh import documents
from pytest_mesh.differential import known
from pytest_mesh.differential.answers import workload
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.implementations.beside import object_labels
from pytest_mesh.keys import RUN
from pytest_mesh.record import Record
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast, widening


@pytest.fixture(scope="package")
def sides(
    mesh_pair: tuple[RunningMesh, RunningMesh], mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> Iterator[tuple[Side, Side]]:
    """Both meshes' namespaces, with the same workloads in them."""
    run = pytestconfig.stash[RUN]
    suffix = secrets.token_hex(3)
    with ExitStack() as stack:
        made = []
        for letter, mesh in zip("ab", mesh_pair, strict=True):
            namespace = stack.enter_context(
                mesh.namespace(
                    # Names of one length, for answers to be of one length too.
                    f"mesh-cells-{letter}-{suffix}",
                    settings=mesh_settings,
                    record=Record(),
                    bases=(Path(__file__).parent,),
                    keep=lambda: run.options.keep == "always",
                )
            )
            for service, versions in cast.VERSIONS.items():
                namespace.stand_in(service, versions=versions, ports=cast.PORTS, protocols=cast.PROTOCOLS, wait=False)
            labels = object_labels(mesh.implementation)
            subsets = widening.subsets()
            subsets["metadata"]["labels"] = labels
            namespace.apply([cast.SIDE_SERVICE, subsets])
            made.append(namespace)
        found = []
        for namespace in made:
            client = namespace.client(CLIENT, annotations=ALL_STATS)
            assert_reaches(namespace, client, f"http://{cast.TARGET}")
            pods = [str(one["metadata"]["name"]) for app in cast.VERSIONS for one in namespace.pods(app=app)]
            found.append(Side(namespace=namespace, client=client, workloads={pod: workload(pod) for pod in pods}))
        yield found[0], found[1]


@pytest.fixture(scope="package")
def known_differences(pytestconfig: pytest.Config) -> tuple[known.Known, ...]:
    """What ``--mesh-known-differences`` lists; raises ``pytest.UsageError`` for a file that is none."""
    path = pytestconfig.stash[RUN].options.known_differences
    if not path:
        return ()
    try:
        return known.read(documents.load(Path(path).read_text(), source=path), path)
    except ValueError as error:
        raise pytest.UsageError(f"--mesh-known-differences: {error}") from error


@pytest.fixture
def pair(sides: tuple[Side, Side], known_differences: tuple[known.Known, ...]) -> Pair:
    """Both sides, for one check."""
    return Pair(first=sides[0], second=sides[1], known=known_differences)
