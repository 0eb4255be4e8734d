"""Groups of documents on two meshes side by side: rivals for a host, delegates, ServiceEntries, headless Services.

The same route answers, by whatever name the host is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from mesh_conformance.differential.pair import Pair
from mesh_conformance.differential.side import Asked, Side
from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.differential.answers import NAMESPACE, differing
from pytest_mesh.differential.findings import without
from pytest_mesh.failures import MeshFailure
from pytest_mesh.keys import RUN
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.bindings import Binding, draw_bindings
from pytest_mesh.strategies.surroundings import draw_surroundings

pytestmark = [pytest.mark.mesh_differential, pytest.mark.timeout(1800)]

BATCH = 50
"""Groups of one push."""
SHARE = 10
"""One group for so many cells of the run."""
CHANCE = frozenset({"workload", "arrivals"})
"""Aspects that the load balancer decides: every route goes to all versions of a Service."""
_TOLD = 4
"""Differences that are told whole."""
_AGE_SECONDS = 1.1
"""Creation times are whole seconds: so long apart, they tell which VirtualService is older."""


@pytest.mark.parametrize("draw", [draw_bindings, draw_surroundings], ids=["rivals", "surroundings"])
def test_the_same_virtual_service_takes_the_host(
    draw: Callable[[int, int, str], list[Binding]],
    pair: Pair,
    mesh_settings: MeshSettings,
    pytestconfig: pytest.Config,
) -> None:
    run = pytestconfig.stash[RUN]
    number = max(1, run.options.differential_cells // SHARE)
    told: list[str] = []
    asked = 0
    for start in range(0, number, BATCH):
        count = min(BATCH, number - start)
        groups = [draw(count, mesh_settings.seed + start, side.namespace.name) for side in (pair.first, pair.second)]
        came, other = pair.both(partial(_bring, pair.first, groups[0]), partial(_bring, pair.second, groups[1]))
        asked += len(came[0])
        told += _differences(pair, groups, came, other)
        run.progress(
            f"differential: {start + count} of {number} groups ({draw.__name__}), {asked} requests to each, {len(told)} differences"
        )
    if told:
        raise MeshFailure(
            f"{len(told)} of {asked} requests go another way (seed {mesh_settings.seed}):\n\n"
            + "\n\n".join(told[:_TOLD])
        )


def _bring(side: Side, groups: Sequence[Binding]) -> tuple[list[Asked], list[Json]]:
    """Apply groups, rivals a second apart, and ask for every name; give the answers and what is stored."""
    stored = side.apply([group.document() for group in groups])
    for age in range(max(len(group.rivals) for group in groups)):
        began = time.monotonic()
        stored += side.apply([group.rivals[age] for group in groups if age < len(group.rivals)])
        time.sleep(max(0.0, _AGE_SECONDS - (time.monotonic() - began)))
    side.pass_sentinel()
    answers = side.ask([request for group in groups for request in group.requests])
    for one in stored[len(groups) :]:
        path = side.namespace.kube.resource(one["apiVersion"], one["kind"]).path(
            side.namespace.name, one["metadata"]["name"]
        )
        side.namespace.kube.delete(path)
    return answers, stored


def _differences(
    pair: Pair,
    groups: Sequence[Sequence[Binding]],
    first: tuple[list[Asked], list[Json]],
    second: tuple[list[Asked], list[Json]],
) -> list[str]:
    namespace = pair.second.namespace.name
    stage = [(one, "") for one in cast.documents(namespace)]
    world = read_world([*stage, *((one, "") for one in second[1])], namespace=namespace)
    requests = [(group, request) for group in groups[1] for request in group.requests]
    told = []
    for (group, request), one, other in zip(requests, first[0], second[0], strict=True):
        aspects = differing(without(pair.first.answer(one), CHANCE), without(pair.second.answer(other), CHANCE))
        prediction = predict(world, pair.second.source, request)
        verdict = judge(prediction, other.observation)
        if not verdict.allowed:
            aspects["oracle"] = ("", "; ".join(verdict.differences))
        if aspects:
            rivals = documents.write(*group.rivals).replace(namespace, NAMESPACE)
            values = "\n".join(
                f"  {name}:\n    {pair.first.name}  {values[0]}\n    {pair.second.name}  {values[1]}"
                for name, values in aspects.items()
            )
            told.append(
                f"GET {request.url} with Host {dict(request.headers)['host']}:\n{values}\nunder, in order of age:\n"
                f"{rivals}\n{prediction.explain()}"
            )
    return told
