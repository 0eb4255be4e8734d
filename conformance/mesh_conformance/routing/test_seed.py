"""The lesson's own VirtualService and DestinationRule, applied to the letter."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_mesh.contracts import Request
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.responses import Response

REVIEWS = "http://reviews"
V2_ONLY = {"x-version": "v2"}
SEED = "test_seed.yaml"
PENDING_LIMIT = 100
"""http1MaxPendingRequests of the DestinationRule."""


@pytest.mark.mesh_feature("VSHeaderExact")
def test_the_header_chooses_v2(shop: MeshNamespace, tester: Client) -> None:
    shop.apply(SEED)
    chosen = tester.count(REVIEWS, 100, headers=V2_ONLY, reuse=False)

    assert dict(chosen.counts) == {"v2": 100}, (
        f"of 100 requests with x-version: v2 {_said(chosen.counts, chosen.failures)} were answered, expected v2 only"
    )


@pytest.mark.mesh_feature("VSHeaderExact")
@pytest.mark.parametrize("value", ["v20", "V2", "v1", " "], ids=["longer", "case", "other", "blank"])
def test_a_near_miss_of_the_header_falls_to_the_default_route(shop: MeshNamespace, tester: Client, value: str) -> None:
    shop.apply(SEED)
    # A connection each: a mesh that chooses by connection, and no mesh, give v2 alone with probability 0.5^20 at most.
    chosen = tester.count(REVIEWS, 20, headers=V2_ONLY, reuse=False)
    assert dict(chosen.counts) == {"v2": 20}, (
        f"x-version: v2 did not choose v2: {_said(chosen.counts, chosen.failures)}"
    )

    missed = tester.count(REVIEWS, 60, headers={"x-version": value})

    assert not missed.failures, f"x-version: {value!r} was not answered: {_said({}, missed.failures)}"
    # A right mesh gives no v1 in 60 draws of 80 % with probability 0.2^60.
    assert missed.counts.get("v1"), f"x-version: {value!r} chose v2, but exact v2 must not match it"


@pytest.mark.mesh_feature("VSWeightedSplit")
def test_weights_share_out_the_requests_within_five_points(shop: MeshNamespace, tester: Client) -> None:
    shop.apply(SEED)
    tester.assert_split(REVIEWS, {"v1": 80, "v2": 20}, delta=5)


@pytest.mark.mesh_feature("VSWeightedSplit")
def test_weights_share_out_the_requests_within_two_points(
    shop: MeshNamespace, tester: Client, mesh_settings: MeshSettings
) -> None:
    """In every tier, for five points hide what a rounded weight does; a finer tier makes it finer."""
    shop.apply(SEED)
    tester.assert_split(REVIEWS, {"v1": 80, "v2": 20}, delta=min(2.0, mesh_settings.split_delta))


@pytest.mark.mesh_feature("DRConnectionPool")
def test_pending_requests_over_the_limit_overflow(shop: MeshNamespace, tester: Client) -> None:
    shop.apply(SEED)
    few = _at_once(tester, 50)
    assert _kinds(few) == {"v2": 50}, f"50 requests at once are below the limit of {PENDING_LIMIT}, got {_kinds(few)}"

    kinds = _kinds(_at_once(tester, 300))

    assert set(kinds) <= {"v2", "overflow"}, (
        f"300 requests at once: expected answers of v2 and 503 with x-envoy-overloaded only, got {kinds}"
    )
    assert kinds.get("overflow"), (
        f"none of 300 requests at once overflowed: http1MaxPendingRequests: {PENDING_LIMIT} is not in force"
    )
    assert kinds["v2"] >= PENDING_LIMIT, (
        f"only {kinds['v2']} of 300 requests at once were answered: the limit in force is below {PENDING_LIMIT}"
    )


def _at_once(client: Client, number: int) -> list[Response]:
    """Open ``number`` connections, then send one request on each at the same instant; all of them go to v2."""
    request = Request(url=REVIEWS, headers=tuple(V2_ONLY.items()), timeout=20.0)
    return client.batch([request], count=number, connections=number, barrier=True)


def _kinds(responses: list[Response]) -> dict[str, int]:
    return dict(Counter(map(_kind, responses)))


def _kind(response: Response) -> str:
    if response.ok:
        return response.version
    if response.status == 503 and response.headers.get("x-envoy-overloaded") == "true":
        return "overflow"
    return response.failure or f"status {response.status}"


def _said(counts: object, failures: object) -> str:
    return f"{counts}, failures {failures}" if failures else f"{counts}"
