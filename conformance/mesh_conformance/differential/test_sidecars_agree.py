"""Sidecars on two meshes side by side: the same hosts are known to the client, and the same becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

import pytest

from mesh_conformance.differential.pair import Pair
from mesh_conformance.differential.side import Asked, Side
from pytest_mesh import documents
from pytest_mesh.contracts import Json, Request
from pytest_mesh.differential.answers import NAMESPACE, differing
from pytest_mesh.differential.findings import without
from pytest_mesh.failures import MeshFailure
from pytest_mesh.keys import RUN
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.choices import seeded
from pytest_mesh.strategies.surroundings import sidecars

pytestmark = [pytest.mark.mesh_differential, pytest.mark.timeout(1800)]

SHARE = 20
"""One Sidecar for so many cells of the run."""
CHANCE = frozenset({"workload", "arrivals"})
"""Aspects that the load balancer decides."""


def test_the_same_hosts_are_known(pair: Pair, mesh_settings: MeshSettings, pytestconfig: pytest.Config) -> None:
    run = pytestconfig.stash[RUN]
    number = max(1, run.options.differential_cells // SHARE)
    told: list[str] = []
    for index in range(number):
        made = [_drawn(side, mesh_settings.seed + index) for side in (pair.first, pair.second)]
        first, second = pair.both(partial(_bring, pair.first, made[0]), partial(_bring, pair.second, made[1]))
        told += _differences(pair, made[1], first, second)
    run.progress(f"differential: {number} Sidecars, {len(told)} differences")
    if told:
        raise MeshFailure(f"{len(told)} requests go another way (seed {mesh_settings.seed}):\n\n{told[0]}")


def _drawn(side: Side, seed: int) -> Json:
    choose = seeded(Random(f"sidecar-{seed}"))  # noqa: S311 - reproducible, not secret
    return sidecars(choose, side.namespace.name, side.host(0))


def _requests(namespace: str) -> list[Request]:
    domain = f"{namespace}.svc.cluster.local"
    hosts = (cast.TARGET, cast.OTHER, f"{cast.OTHER}.{namespace}", f"{cast.SIDE}.{domain}", "nobody.test")
    return [
        *(Request(url=f"http://{cast.TARGET}/", headers=(("host", host),)) for host in hosts),
        Request(url=f"http://{cast.SIDE}:{cast.SIDE_PORT}/"),
        Request(url=f"http://{cast.SIDE}:{cast.SIDE_PORT}/", headers=(("host", cast.OTHER),)),
    ]


def _bring(side: Side, document: Json) -> list[Asked]:
    """Apply a Sidecar, ask, and take it away again. The sentinel's host, which it lets in, tells that it is in force."""
    side.apply([document])
    side.pass_sentinel()
    answers = side.ask(_requests(side.namespace.name), logged=False)
    kube = side.namespace.kube
    kube.delete(
        kube.resource(document["apiVersion"], "Sidecar").path(side.namespace.name, document["metadata"]["name"])
    )
    return answers


def _differences(pair: Pair, document: Json, first: Sequence[Asked], second: Sequence[Asked]) -> list[str]:
    namespace = pair.second.namespace.name
    world = read_world([(one, "") for one in (*cast.documents(namespace), document)], namespace=namespace)
    told = []
    for request, one, other in zip(_requests(namespace), first, second, strict=True):
        aspects = differing(without(pair.first.answer(one), CHANCE), without(pair.second.answer(other), CHANCE))
        prediction = predict(world, pair.second.source, request)
        verdict = judge(prediction, other.observation)
        if not verdict.allowed:
            aspects["oracle"] = ("", "; ".join(verdict.differences))
        if aspects:
            values = "\n".join(f"  {name}: {values[0]} | {values[1]}" for name, values in aspects.items())
            told.append(
                f"GET {request.url} {dict(request.headers)} ({pair.first.name} | {pair.second.name}):\n{values}\n"
                f"under:\n{documents.write(document).replace(namespace, NAMESPACE)}\n{prediction.explain()}"
            )
    return told
