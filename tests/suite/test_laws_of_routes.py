"""The laws that meshes are held to are laws of the model too, and leave nothing to chance; the order of a Pod is looked at."""

from __future__ import annotations

import copy
from random import Random

import pytest

from mesh_conformance.injection.pod_contents import reordered_parts
from mesh_conformance.properties.laws import LAWS, answer, rewritten, sharp
from pytest_mesh.contracts import Echo, Observation
from pytest_mesh.oracle.model import Source
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.routes import draw_cells

NAMESPACE = "shop"
SOURCE = Source(namespace=NAMESPACE, labels={"app": "client", "version": "client"})
CELLS = [sharp(cell) for cell in draw_cells(40, 5)]


def outcomes(cell):
    """Give what the model allows of each request of a cell."""
    documents = [*cast.documents(NAMESPACE), cell.virtual_service("cell", "cell.test")]
    world = read_world([(one, "") for one in documents], namespace=NAMESPACE)
    return [predict(world, SOURCE, sent.request("cell.test", cast.TARGET)).outcomes for sent in cell.requests]


def test_a_sharp_cell_leaves_nothing_to_chance():
    assert [cell for cell in CELLS if any(len(found) != 1 for found in outcomes(cell))] == []


@pytest.mark.parametrize("name", LAWS)
def test_a_law_changes_no_outcome_and_most_cells(name):
    random = Random(6)
    changed = [rewritten(cell, LAWS[name], random) for cell in CELLS]

    assert [outcomes(cell) for cell in changed] == [outcomes(cell) for cell in CELLS]
    assert sum(one.http != other.http for one, other in zip(changed, CELLS, strict=True)) >= len(CELLS) // 4


def test_an_answer_is_what_routes_decide_of_it():
    echo = Echo(
        version="v1",
        pod="p",
        method="GET",
        path="/a?h=cell-1.test",
        host="cell-1.test",
        headers=(("x-a", "1"), ("x-request-id", "r")),
    )
    seen = Observation(request=0, status=200, headers=(("x-r", "2"), ("date", "now")), echo=echo)

    assert answer(seen, "cell-1.test") == {
        "status": 200,
        "failure": "",
        "response": [["x-r", "2"]],
        "version": "v1",
        "method": "GET",
        "path": "/a?h={host}",
        "authority": "{host}",
        "request": [["x-a", "1"]],
    }


POD = {
    "metadata": {},
    "spec": {
        "containers": [{"name": "a", "env": [{"name": "X"}, {"name": "Y"}]}, {"name": "b"}],
        "initContainers": [{"name": "c"}, {"name": "d"}],
        "volumes": [{"name": "v"}, {"name": "w"}],
    },
}


def test_what_is_added_before_between_and_after_disturbs_no_order():
    injected = copy.deepcopy(POD)
    for field in ("containers", "initContainers", "volumes"):
        injected["spec"][field].insert(0, {"name": "first"})
        injected["spec"][field].insert(2, {"name": "between"})

    assert reordered_parts(POD, injected) == []


@pytest.mark.parametrize("field", ["containers", "initContainers", "volumes"])
def test_a_list_in_another_order_is_told(field):
    injected = copy.deepcopy(POD)
    injected["spec"][field].reverse()

    (said,) = reordered_parts(POD, injected)

    assert said.startswith(f"spec: {field} ")


def test_variables_in_another_order_are_told():
    injected = copy.deepcopy(POD)
    injected["spec"]["containers"][0]["env"].reverse()

    assert reordered_parts(POD, injected) == ["container a: env X, Y became Y, X"]
