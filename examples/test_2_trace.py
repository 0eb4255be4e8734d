"""Exercise 2: trace a VirtualService to the route that Envoy runs, in the configuration of the client's own proxy."""

from __future__ import annotations


def test_trace(mesh_namespace):
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
    client = mesh_namespace.client("tester")
    mesh_namespace.apply("test_2_trace.yaml")
    service = f"reviews.{mesh_namespace.name}.svc.cluster.local"

    # One route configuration for each port, in it one virtual host for each service, in it the VirtualService's routes.
    (port_80,) = [one for one in mesh_namespace.proxy(client.pod).routes() if one["name"] == "80"]
    (reviews,) = [one for one in port_80["virtual_hosts"] if one["name"] == f"{service}:80"]
    by_header, by_weight = reviews["routes"]

    assert "reviews" in reviews["domains"]  # the short name that the VirtualService gave
    (condition,) = by_header["match"]["headers"]
    assert (condition["name"], condition["string_match"]) == ("x-version", {"exact": "v2"})
    assert by_header["route"]["cluster"] == f"outbound|80|v2|{service}"  # a cluster for each subset
    shares = {one["name"]: one["weight"] for one in by_weight["route"]["weighted_clusters"]["clusters"]}
    assert shares == {f"outbound|80|v1|{service}": 80, f"outbound|80|v2|{service}": 20}
