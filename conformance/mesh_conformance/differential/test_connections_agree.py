"""TCP and TLS routes on two meshes side by side: connections come to the same versions, and to those that the oracle allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from mesh_conformance.differential.pair import Pair
from mesh_conformance.differential.side import Side
from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.failures import MeshFailure
from pytest_mesh.keys import RUN
from pytest_mesh.oracle.outcomes import Prediction
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.connections import draw_connections, requests

pytestmark = [pytest.mark.mesh_differential, pytest.mark.timeout(1800)]

SHARE = 10
"""One VirtualService for so many cells of the run."""
TIMES = 40
"""Connections of each kind: of two equal shares one stays unseen with probability 2^-39."""


def test_connections_come_to_the_same_versions(
    pair: Pair, mesh_settings: MeshSettings, pytestconfig: pytest.Config
) -> None:
    run = pytestconfig.stash[RUN]
    number = max(1, run.options.differential_cells // SHARE)
    told: list[str] = []
    for document in draw_connections(number, mesh_settings.seed):
        first, second = pair.both(partial(_bring, pair.first, document), partial(_bring, pair.second, document))
        told += _differences(pair, document, first, second)
    run.progress(f"differential: {number} VirtualServices of TCP and TLS, {len(told)} differences")
    if told:
        raise MeshFailure(f"{len(told)} connections go another way (seed {mesh_settings.seed}):\n\n{told[0]}")


def _bring(side: Side, document: Json) -> list[frozenset[str]]:
    """Apply a VirtualService, open connections, and take it away again."""
    side.apply([document])
    side.pass_sentinel()
    found = [side.reached(request, TIMES) for request in requests()]
    kube = side.namespace.kube
    path = kube.resource(document["apiVersion"], "VirtualService").path(side.namespace.name, "wire")
    kube.delete(path)
    return found


def _differences(
    pair: Pair, document: Json, first: Sequence[frozenset[str]], second: Sequence[frozenset[str]]
) -> list[str]:
    namespace = pair.second.namespace.name
    world = read_world([(one, "") for one in (*cast.documents(namespace), document)], namespace=namespace)
    told = []
    for request, one, other in zip(requests(), first, second, strict=True):
        prediction = predict(world, pair.second.source, request)
        allowed = _versions(prediction)
        if one != other or other != allowed:
            told.append(
                f"{request.url} {dict(request.headers)}: {pair.first.name} {sorted(one)}, {pair.second.name} "
                f"{sorted(other)}, the oracle {sorted(allowed)}\nunder:\n{documents.write(document)}\n{prediction.explain()}"
            )
    return told


def _versions(prediction: Prediction) -> frozenset[str]:
    """Give the versions that connections must come to: all of them, for no share is small."""
    return frozenset(
        name
        for one in prediction.outcomes
        for name in ([work.version for work in one.workloads] if one.by == "workload" else ["reset"])
    )
