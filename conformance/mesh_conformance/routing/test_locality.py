"""Shares by locality: requests from one place are shared out over places as the DestinationRule says."""

from __future__ import annotations

import pytest

from pytest_mesh.namespace import MeshNamespace

LOCALITY = "istio-locality"
"""Label by which a pod says where it is, whatever its node says."""


@pytest.mark.mesh_feature("DRLocality")
def test_requests_are_shared_out_over_localities(mesh_namespace: MeshNamespace) -> None:
    for place in ("east", "west", "north"):
        labels = {LOCALITY: f"{place}.one.a"}
        mesh_namespace.stand_in("places", versions=[place], labels=labels, wait=False)
    client = mesh_namespace.client("tester", labels={LOCALITY: "east.one.a"})
    places = {"east", "west", "north"}
    # Endpoints come one by one; and of three equal shares a right mesh leaves one out of 60 requests once in 10^10 times.
    mesh_namespace.eventually(
        lambda: set(client.count("http://places", 60).counts) == places, "every place answers before there is a rule"
    )
    mesh_namespace.apply("test_locality.yaml")

    client.assert_split("http://places", {"east": 80, "west": 20, "north": 0})
