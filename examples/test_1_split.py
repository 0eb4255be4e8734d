"""Exercise 1: deploy two versions of a service and split its traffic 80/20 between them."""

from __future__ import annotations


def test_split(mesh_namespace):
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
    mesh_namespace.apply("test_1_split.yaml")
    client = mesh_namespace.client("tester")

    client.assert_split("http://reviews", {"v1": 80, "v2": 20}, delta=5)

    assert client.get("http://reviews", headers={"x-version": "v2"}).version == "v2"
