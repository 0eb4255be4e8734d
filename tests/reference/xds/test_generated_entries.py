"""S1-S4, S10: ServiceEntries and WorkloadEntries as clusters, endpoints, listeners and virtual hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_kube import destination_rule, pod, resource, service
from mesh_of import CLIENT, add, addresses, cluster, clusters, configuration, hosts, index_of, listener, listeners

HOST = "api.example.com"
CLUSTER = f"outbound|443||{HOST}"
HTTPS = [{"number": 443, "name": "https", "protocol": "HTTPS"}]
HTTP = [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}]


def entry(ports: list[dict[str, Any]] = HTTPS, name: str = "e", **spec: Any) -> dict[str, Any]:
    return resource("ServiceEntry", name, {"hosts": [HOST], "ports": ports, **spec})


@pytest.mark.parametrize(
    ("resolution", "kind"), [("NONE", "ORIGINAL_DST"), ("STATIC", "EDS"), ("DNS", "STRICT_DNS"), ("DNS_ROUND_ROBIN", "LOGICAL_DNS")]
)  # fmt: skip
def test_resolution_is_the_kind_of_cluster(resolution: str, kind: str) -> None:
    found = cluster(configuration(entry(resolution=resolution)), CLUSTER)
    assert found["type"] == kind  # S1
    if "DNS" in resolution:
        (inside,) = found["loadAssignment"]["endpoints"]
        address = inside["lbEndpoints"][0]["endpoint"]["address"]["socketAddress"]
        assert (address["address"], address["portValue"]) == (HOST, 443)
        assert found["dnsRefreshRate"] == "60s"  # §1.9


def test_dynamic_resolution_is_refused_by_name() -> None:
    (problems,) = index_of(entry(resolution="DYNAMIC_DNS")).problems.values()
    assert "DYNAMIC_DNS" in problems[0].text


def test_outside_the_mesh_there_is_no_mutual_tls() -> None:
    outside = cluster(configuration(entry(resolution="STATIC", location="MESH_EXTERNAL")), CLUSTER)
    assert "transportSocketMatches" not in outside  # S2
    inside = cluster(configuration(entry(resolution="STATIC", location="MESH_INTERNAL")), CLUSTER)
    assert "transportSocketMatches" in inside


def test_endpoints_have_weights_localities_and_ports_of_their_own() -> None:
    config = configuration(
        entry(
            HTTP,
            resolution="STATIC",
            endpoints=[
                {"address": "192.0.2.1", "weight": 3, "locality": "r1/z1", "ports": {"http": 9000}},
                {"address": "192.0.2.2"},
            ],
        )
    )
    from google.protobuf import json_format

    from mesh_reference.xds.resources import ENDPOINT

    name = f"outbound|80||{HOST}"
    body = json_format.MessageToDict(config.named(ENDPOINT, CLIENT, [name])[name].body)
    found = {
        item["endpoint"]["address"]["socketAddress"]["address"]: (
            group["locality"].get("zone", ""),
            item["endpoint"]["address"]["socketAddress"]["portValue"],
            item["loadBalancingWeight"],
        )
        for group in body["endpoints"]
        for item in group["lbEndpoints"]
    }
    assert found == {"192.0.2.1": ("z1", 9000, 3), "192.0.2.2": ("", 8080, 1)}  # S3


def test_an_entry_selects_pods_and_workload_entries_of_its_namespace() -> None:
    index = index_of(
        entry(HTTP, resolution="STATIC", location="MESH_INTERNAL", workloadSelector={"labels": {"app": "vm"}}),
        pod("p", "10.244.0.31", {"app": "vm"}),
        pod("q", "10.244.0.32", {"app": "vm"}, namespace="else"),
        resource("WorkloadEntry", "w", {"address": "192.0.2.9", "labels": {"app": "vm"}}),
    )
    assert [item.address for item in index.snapshot().endpoints[HOST]] == ["10.244.0.31", "192.0.2.9"]  # S2
    change = add(index, resource("WorkloadEntry", "w", {"address": "192.0.2.10", "labels": {"app": "vm"}}))
    assert change.endpoints == {HOST}
    assert not change.full


def test_its_host_is_a_virtual_host_and_its_addresses_are_names_of_it() -> None:
    config = configuration(entry(HTTP, addresses=["240.0.0.1"], resolution="DNS"))
    assert hosts(config)[f"{HOST}:80"]["domains"] == [HOST, f"{HOST}.", "240.0.0.1"]


def test_tls_without_an_address_is_told_apart_by_sni_and_tcp_by_subnet() -> None:
    second = resource("ServiceEntry", "f", {"hosts": ["b.example.com"], "ports": HTTPS, "resolution": "DNS"})
    config = configuration(entry(resolution="DNS"), second)
    found = listener(config, "0.0.0.0_443")["filterChains"]
    assert [chain["filterChainMatch"]["serverNames"] for chain in found] == [[HOST], ["b.example.com"]]  # S4
    subnet = entry([{"number": 99, "name": "tcp", "protocol": "TCP"}], addresses=["192.0.2.0/24"])
    (chain,) = listener(configuration(subnet), "0.0.0.0_99")["filterChains"]
    assert chain["filterChainMatch"]["prefixRanges"] == [{"addressPrefix": "192.0.2.0", "prefixLen": 24}]
    wide = entry([{"number": 99, "name": "tcp", "protocol": "TCP"}], resolution="DNS")
    assert "0.0.0.0_99" in listeners(configuration(wide))


def test_the_names_in_the_servers_certificate_are_checked_when_tls_is_originated() -> None:
    rule = destination_rule("d", HOST, trafficPolicy={"tls": {"mode": "SIMPLE"}})
    found = cluster(configuration(entry(resolution="DNS", subjectAltNames=["x.example"]), rule), CLUSTER)
    validation = found["transportSocket"]["typedConfig"]["commonTlsContext"]["validationContext"]
    assert {item["matcher"]["exact"] for item in validation["matchTypedSubjectAltNames"]} == {"x.example"}


def test_an_entry_or_service_that_is_not_exported_is_unknown_elsewhere() -> None:
    annotated = service("reviews", "10.96.0.7")
    annotated["metadata"]["annotations"] = {"networking.istio.io/exportTo": "."}
    config = configuration(entry(exportTo=["."]), annotated)
    there = clusters(config, replace(CLIENT, namespace="else", id="t.else"))
    assert {CLUSTER, "outbound|80||reviews.shop.svc.cluster.local"} <= clusters(config)
    assert not {name for name in there if name.startswith("outbound")}  # S10


def test_kubernetes_keeps_a_host_that_an_entry_claims_too() -> None:
    own = service("reviews", "10.96.0.7")
    rival = resource(
        "ServiceEntry", "r", {"hosts": ["reviews.shop.svc.cluster.local"], "ports": HTTP, "resolution": "DNS"}
    )
    index = index_of(own, rival)
    assert index.snapshot().services["reviews.shop.svc.cluster.local"].addresses == ("10.96.0.7",)


def test_workloads_behind_a_proxy_protocol_get_its_header() -> None:
    rule = destination_rule("d", HOST, trafficPolicy={"proxyProtocol": {"version": "V2"}})
    config = configuration(entry(resolution="STATIC", endpoints=[{"address": "192.0.2.1"}]), rule)
    assert cluster(config, CLUSTER)["transportSocket"]["name"].endswith("upstream_proxy_protocol")  # D16
    assert addresses(config, CLUSTER) == ["192.0.2.1"]
