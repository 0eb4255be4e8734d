"""What judges the mesh would see each thing that is wrong: one field of an answer at a time, a gate not yet open, and so on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh_conformance.properties.reducing import reduce
from pytest_mesh.contracts import Echo, Observation, Request
from pytest_mesh.failures import NotConverged
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.outcomes import Outcome, Prediction, Workload
from pytest_mesh.strategies.cells import Cell, Sent
from pytest_mesh.traffic.epoch import EPOCH_HEADER
from pytest_mesh.traffic.gate import Marked, pass_marked

ECHO = Echo(
    version="v1",
    pod="reviews-v1-x",
    namespace="shop",
    method="GET",
    path="/a",
    host="reviews",
    headers=(("x-a", "one"),),
)
SEEN = Observation(request=0, status=200, headers=(("x-r", "two"),), echo=ECHO)


def test_an_answer_that_is_allowed_has_no_difference(allowed):
    assert judge(allowed, SEEN).differences == ()


@pytest.fixture
def allowed():
    outcome = Outcome(
        by="workload",
        status=200,
        workloads=(Workload(name="reviews-v1", namespace="shop", labels={"version": "v1"}),),
        method="GET",
        path="/a",
        authority="reviews",
        request_headers={"x-a": "one", "x-gone": None},
        response_headers={"x-r": "two"},
    )
    return Prediction(outcomes=(outcome,), steps=())


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(SEEN, status=503), "status 503"),
        (replace(SEEN, status=0, failure="reset"), "no answer (reset"),
        (replace(SEEN, echo=None), "from a proxy"),
        (replace(SEEN, echo=replace(ECHO, pod="reviews-v2-y", version="v2")), "reviews-v2-y answered"),
        (replace(SEEN, echo=replace(ECHO, path="/b")), "path /b"),
        (replace(SEEN, echo=replace(ECHO, method="POST")), "method POST"),
        (replace(SEEN, echo=replace(ECHO, host="ratings")), "Host ratings"),
        (replace(SEEN, echo=replace(ECHO, headers=())), "header x-a: absent"),
        (replace(SEEN, echo=replace(ECHO, headers=(("x-a", "one"), ("x-gone", "1")))), "header x-gone: 1"),
        (replace(SEEN, headers=()), "header x-r: absent"),
    ],
)
def test_each_field_of_an_answer_is_looked_at(allowed, seen, said):
    (difference,) = judge(allowed, seen).differences

    assert said in difference


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (
            Observation(request=0, status=301, headers=(("location", "http://evil.test/a"),)),
            "Location is http://evil.test/a",
        ),
        (Observation(request=0, status=301), "Location is None"),
        (Observation(request=0, status=301, headers=(("location", "http://a/"),), seconds=0.1), "it took 0.100 s"),
    ],
)
def test_a_proxys_own_answer_is_looked_at(seen, said):
    outcome = Outcome(by="proxy", status=301, location="http://a/", delay=0.5)
    (difference, *_) = judge(
        Prediction(outcomes=(outcome,), steps=()), replace(seen, seconds=seen.seconds or 1)
    ).differences

    assert said in difference


def answering(epochs):
    """Give what carries a batch to a workload whose routes answer with one epoch after the other."""
    left = list(epochs)

    def send(batch):
        epoch = left.pop(0) if len(left) > 1 else left[0]
        headers = [[EPOCH_HEADER, epoch]] if epoch else []
        return {
            "observations": [
                {"request": index, "status": 200, "headers": headers} for index in range(len(batch.requests))
            ]
        }

    return send, left


MARKED = (Marked(name="VirtualService reviews", epoch="two", probes=(Request(url="http://reviews/"),)),)


def test_the_gate_opens_at_the_newest_epoch_and_not_before():
    send, left = answering(["", "one", "one", "two", "three"])

    pass_marked("tester", send, MARKED, seconds=5)

    assert left == ["three"]


def test_the_gate_stays_shut_for_an_old_epoch():
    send, _ = answering(["one"])

    with pytest.raises(NotConverged, match=r"wanted x-mesh-epoch: two.*'one'"):
        pass_marked("tester", send, MARKED, seconds=0.1)


class Found:
    def __init__(self, cell):
        self.cell = cell


def failing(cells):
    """Give those of the cells that a mesh fails which takes no notice of methods."""
    return [
        Found(cell)
        for cell in cells
        if any("method" in block for route in cell.http for block in route.get("match", ()))
    ]


def test_a_failing_cell_is_made_minimal_in_a_few_rounds():
    route = {"route": [{"destination": {"host": "target", "subset": "v1"}}]}
    large = Cell(
        http=(
            {"match": [{"uri": {"prefix": "/a"}, "headers": {"x-a": {"exact": "v1"}}}], **route},
            {
                "match": [
                    {"method": {"exact": "POST"}, "uri": {"exact": "/b"}},
                    {"queryParams": {"q": {"exact": "a"}}},
                ],
                **route,
            },
            {"rewrite": {"uri": "/new"}, **route},
        ),
        requests=(Sent(path="/b?q=a", headers=(("x-a", "v1"),)),),
    )
    pushes = []

    def attempt(cells):
        pushes.append(len(cells))
        return failing(cells)

    smallest = reduce(Found(large), attempt, rounds=12).cell

    assert smallest.http == (
        {"match": [{"method": {"exact": "POST"}}], "route": [{"destination": {"host": "target"}}]},
    )
    assert smallest.requests == (Sent(),)
    assert len(pushes) <= 12
