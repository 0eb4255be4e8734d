"""Generated groups of documents: the oracle has an opinion on every one, and opinions that differ."""

from __future__ import annotations

from random import Random

import pytest

from pytest_mesh.contracts import Request
from pytest_mesh.oracle.model import Source
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.choices import seeded
from pytest_mesh.strategies.connections import draw_connections, requests
from pytest_mesh.strategies.surroundings import draw_surroundings, sidecars

CLIENT = Source(namespace="stage", labels={"app": "client"})


def world(*documents):
    return read_world([(one, "") for one in (*cast.documents("stage"), *documents)], namespace="stage")


def test_every_delegate_entry_and_headless_service_is_predicted():
    kinds, answers = set(), set()
    for group in draw_surroundings(60, 1, "stage"):
        known = world(group.document(), *group.rivals)
        kinds |= {one["kind"] for one in group.rivals}
        for request in group.requests:
            outcomes = predict(known, CLIENT, request).outcomes
            assert sum(one.probability for one in outcomes) == 1
            answers |= {(one.by, one.status, one.flag) for one in outcomes}
    assert kinds == {"VirtualService", "ServiceEntry", "Service"}
    assert {("workload", 200, ""), ("proxy", 503, "UH"), ("proxy", 200, "")} <= answers


def test_every_connection_is_predicted():
    ways = set()
    for document in draw_connections(30, 1):
        for request in requests():
            ways.add(tuple(sorted(predict(world(document), CLIENT, request).shares)))
    assert {("v1",), ("v2",), ("v1", "v2"), ("other.stage.svc.cluster.local",)} <= ways


def test_under_every_sidecar_hosts_are_known_or_not():
    seen = set()
    for seed in range(40):
        document = sidecars(seeded(Random(seed)), "stage", "cell-0.stage.test")
        for host in (cast.TARGET, cast.OTHER, "nobody.test"):
            request = Request(url=f"http://{cast.TARGET}/", headers=(("host", host),))
            seen |= {one.by for one in predict(world(document), CLIENT, request).outcomes}
    assert seen == {"workload", "proxy"}


@pytest.mark.parametrize(
    "draw", [lambda seed: draw_surroundings(5, seed, "stage"), lambda seed: draw_connections(5, seed)]
)
def test_the_same_seed_draws_the_same(draw):
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
