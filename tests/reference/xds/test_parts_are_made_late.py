"""A proxy that is slower than the changes: what its view makes after the next one was there is no reason to miss a difference."""

from __future__ import annotations

import pytest
from memory_kube import endpoint_slice, pod, service, virtual_service
from mesh_of import CLIENT, add, index_of

from mesh_reference.settings import Settings
from mesh_reference.store.index import MeshIndex
from mesh_reference.xds.configuration import Configuration

PARTS = {
    "clusters": lambda view: view.clusters,
    "listeners": lambda view: view.listeners,
    "virtual hosts": lambda view: view.virtual_hosts(["80"]),
    "endpoints": lambda view: view.endpoints("outbound|80||reviews.shop.svc.cluster.local"),
}


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
