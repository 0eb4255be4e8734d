"""What is added to cells: the same for the same seed, in some half of them, and never what was there is lost."""

from __future__ import annotations

from pytest_mesh.strategies.routes import draw_cells
from pytest_mesh.strategies.widening import beyond_the_oracle, subsets, widened

CELLS = draw_cells(200, 5)


def test_the_same_seed_adds_the_same() -> None:
    assert widened(CELLS, 5) == widened(CELLS, 5)
    assert widened(CELLS, 5) != widened(CELLS, 6)


def test_some_half_of_the_cells_gets_something_and_the_others_stay() -> None:
    changed = sum(one != other for one, other in zip(CELLS, widened(CELLS, 5), strict=True))
    assert 60 < changed < 140


def test_everything_that_can_be_added_is_added_somewhere() -> None:
    routes = [route for one in widened(CELLS, 5) for route in one.http]
    for name in ("timeout", "retries", "corsPolicy", "mirrors", "mirrorPercentage", "fault", "name"):
        assert any(name in route for route in routes), name
    assert any(beyond_the_oracle(one) for one in widened(CELLS, 5))
    assert not any(beyond_the_oracle(one) for one in CELLS)


def test_routes_and_requests_keep_their_number() -> None:
    for one, other in zip(CELLS, widened(CELLS, 5), strict=True):
        assert len(one.http) == len(other.http)
        assert 1 <= len(other.requests) <= len(one.requests)


def test_the_subsets_of_the_cast_stay_as_they_are() -> None:
    names = [one["name"] for one in subsets()["spec"]["subsets"]]
    assert names == ["v1", "v2", "empty", "plain", "h2", "inherited"]
    assert subsets() == subsets()
