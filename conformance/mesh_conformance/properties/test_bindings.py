"""Rival VirtualServices on one host: the one that the model says takes it, under every name of the Service."""

from __future__ import annotations

import pytest

from mesh_conformance.properties.cell_stage import CellStage
from pytest_mesh import confirming, documents
from pytest_mesh.contracts import Request
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.bindings import draw_bindings

GROUPS = 20


@pytest.mark.mesh_feature("VSRouteModel")
def test_of_rival_virtual_services_the_right_one_takes_the_host(
    cell_stage: CellStage, mesh_settings: MeshSettings
) -> None:
    namespace = cell_stage.namespace
    groups = draw_bindings(GROUPS, mesh_settings.seed, namespace.name)
    services = namespace.apply([group.document() for group in groups], wait=False)
    _await_endpoints(cell_stage, [group.service for group in groups])
    stored = [*services, *namespace.apply([rival for group in groups for rival in group.rivals], wait=False)]
    cell_stage.pass_sentinel()
    stage = [(one, "") for one in cast.documents(namespace.name)]
    # The stored documents carry the age that decides between rivals.
    world = read_world([*stage, *((one, "") for one in stored)], namespace=namespace.name)
    requests = tuple(request for group in groups for request in group.requests)

    wrong = []
    for observation in cell_stage.send(requests):
        request = requests[observation.request]
        prediction = predict(world, cell_stage.source, request)
        verdict = judge(prediction, observation)
        if not verdict.allowed:
            wrong.append((request, verdict, prediction))

    namespace.facts(groups=GROUPS, requests=len(requests), seed=mesh_settings.seed, oracle=confirming.standing())
    if wrong:
        request, verdict, prediction = wrong[0]
        group = next(one for one in groups if request in one.requests)
        applied = documents.write(*(one for one in stored if one["metadata"]["name"].startswith(f"{group.service}-")))
        pytest.fail(
            f"{len(wrong)} of {len(requests)} requests go another way than the model's (seed {mesh_settings.seed}); "
            f"the first is GET {request.url} with Host {dict(request.headers)['host']}: "
            f"{'; '.join(verdict.differences)}\n{applied}\n{prediction.explain()}",
            pytrace=False,
        )


def _await_endpoints(cell_stage: CellStage, services: list[str]) -> None:
    """Wait until each Service answers: what a proxy has no endpoints of yet says nothing of routes."""
    requests = tuple(Request(url=f"http://{name}/") for name in services)

    def answered() -> bool:
        return all(one.status == 200 for one in cell_stage.send(requests))

    cell_stage.namespace.eventually(answered, "every Service answers before there are routes for it")
