"""A proxy that is slower than the changes: what its view makes after the next one was there is no reason to miss a difference."""

from __future__ import annotations

from typing import Any

import pytest
from memory_kube import endpoint_slice, pod, service, virtual_service
from mesh_of import CLIENT, add, index_of

from mesh_reference.settings import Settings
from mesh_reference.store.index import MeshIndex
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.resources import Encoded

PARTS = {
    "clusters": lambda view: view.clusters,
    "listeners": lambda view: view.listeners,
    "virtual hosts": lambda view: view.virtual_hosts(["80"]),
    "endpoints": lambda view: view.endpoints("outbound|80||reviews.shop.svc.cluster.local"),
}


def contents(made: Any) -> Any:
    """The hashes of what was made, by name."""
    return made.version if isinstance(made, Encoded) else {name: one.version for name, one in made.items()}


def mesh() -> MeshIndex:
    return index_of(
        service("reviews", "10.96.0.7"),
        pod("r1", "10.244.0.1", {"app": "reviews"}, "reviews"),
        endpoint_slice("reviews", ["10.244.0.1"]),
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_view_cannot_tell_what_differs_from_one_that_was_filled_after_it_was_made(part: str) -> None:
    index = mesh()
    first = Configuration(index.snapshot(), Settings())
    slow = first.view(CLIENT)
    change = add(index, virtual_service("late", ["late.test"], [{"route": [{"destination": {"host": "reviews"}}]}]))
    second = first.succeeded_by(index.snapshot(), Settings(), change)
    PARTS[part](slow)
    assert second.view(CLIENT).changed_since(slow.version) is None


def test_what_was_there_in_time_is_compared() -> None:
    index = mesh()
    first = Configuration(index.snapshot(), Settings())
    for make in PARTS.values():
        make(first.view(CLIENT))
    change = add(index, virtual_service("late", ["late.test"], [{"route": [{"destination": {"host": "reviews"}}]}]))
    second = first.succeeded_by(index.snapshot(), Settings(), change)
    differing = second.view(CLIENT).changed_since(first.view(CLIENT).version)
    assert differing is not None
    assert any(differing.values())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("late", ["endpoints", "another Service", "a route"])
def test_what_a_view_makes_late_is_no_part_of_the_one_that_followed_it(part: str, late: str) -> None:
    index = index_of(service("reviews", "10.96.0.7"), pod("r1", "10.244.0.1", {"app": "reviews"}, "reviews"))
    first = Configuration(index.snapshot(), Settings())
    slow = first.view(CLIENT)
    routes = [{"route": [{"destination": {"host": "reviews"}}]}]
    objects = {
        "endpoints": endpoint_slice("reviews", ["10.244.0.1"]),
        "another Service": service("ratings", "10.96.0.8"),
        "a route": virtual_service("late", ["reviews"], routes),
    }
    change = add(index, objects[late])
    second = first.succeeded_by(index.snapshot(), Settings(), change)

    for make in PARTS.values():
        make(slow)

    anew = Configuration(index.snapshot(), Settings())
    assert contents(PARTS[part](second.view(CLIENT))) == contents(PARTS[part](anew.view(CLIENT)))
