"""Percentages of faults and copies, judged by the test that judges splits: each request is a pick of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from mesh_conformance.counters import requests
from pytest_mesh.contracts import Request
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.splits import Draw

DOCUMENTS = "test_percentages.yaml"
DELAY_SECONDS = 2.0
"""Long enough that no busy machine takes it without a fault."""
DELAYED_AT_ONCE = 64
"""Connections while delays are counted: a delayed request holds one all the while."""


@pytest.mark.mesh_feature("VSFaultAbort")
def test_a_fifth_of_the_requests_is_aborted(shop: MeshNamespace, tester: Client) -> None:
    shop.apply(DOCUMENTS)
    tester.assert_split("http://aborted", {"200": 80, "418": 20}, key="status")


@pytest.mark.mesh_feature("VSFaultDelay")
def test_a_tenth_of_the_requests_is_delayed(shop: MeshNamespace, tester: Client) -> None:
    shop.apply(DOCUMENTS)

    def draw(number: int) -> Draw:
        responses = tester.batch([Request(url="http://delayed")], count=number, connections=DELAYED_AT_ONCE)
        answered = [one for one in responses if one.ok]
        return Draw(
            counts=Counter("delayed" if one.seconds >= DELAY_SECONDS else "at once" for one in answered),
            failures=Counter(one.failure or f"status {one.status}" for one in responses if not one.ok),
        )

    tester.assert_shares("http://delayed", draw, {"at once": 90, "delayed": 10})


@pytest.mark.mesh_feature("VSMirrorPercent")
def test_a_fifth_of_the_requests_is_copied(mesh: RunningMesh, shop: MeshNamespace, tester: Client) -> None:
    """The copies are counted where they arrive, by the proxy of the pod that gets nothing else."""
    mesh.needs("admin_port")
    shop.apply(DOCUMENTS)
    receiver = shop.proxy(shop.pod("ratings")["metadata"]["name"])

    asked = requests(receiver, "inbound")
    assert tester.get("http://ratings").ok
    before, counted = requests(receiver, "inbound"), 0
    assert before > asked, "the proxy of ratings does not count what it hands to its application"

    def draw(number: int) -> Draw:
        nonlocal counted
        drawn = tester.count("http://mirrored", number)
        # A copy that comes late is counted with the next draw, and not lost.
        copies = _at_rest(shop, lambda: requests(receiver, "inbound")) - before - counted
        counted += copies
        answered = sum(drawn.counts.values())
        return Draw(
            counts={"copied": copies, "not copied": answered - copies}, failures=drawn.failures, seconds=drawn.seconds
        )

    tester.assert_shares("copies of http://mirrored at ratings", draw, {"not copied": 80, "copied": 20})


def _at_rest(shop: MeshNamespace, count: Callable[[], int]) -> int:
    """Give a counter once two looks at it agree: copies are sent beside the answer and may come after it."""
    seen = [-1]

    def rested() -> bool:
        seen.append(count())
        return seen[-1] == seen[-2]

    shop.eventually(rested, "the copies have arrived at ratings")
    return seen[-1]
