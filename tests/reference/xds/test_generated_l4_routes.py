"""T1-T7 and §1.6: TCP and TLS routes as filter chains of the outbound listeners."""

from __future__ import annotations

from typing import Any

import pytest
from memory_kube import destination_rule, resource, service
from mesh_of import configuration, index_of, listener

DB = service("db", "10.96.0.9", [{"name": "tcp", "port": 5432}])
WEB = service("web", "10.96.0.10", [{"name": "tls", "port": 443}])
OTHER = service("other", "10.96.0.11", [{"name": "tcp", "port": 99}])
DB_CLUSTER = "outbound|5432||db.shop.svc.cluster.local"


def to(host: str = "other", weight: int = 0, **destination: Any) -> dict[str, Any]:
    return {"destination": {"host": host, **destination}, "weight": weight}


def routed(host: str, **spec: Any) -> dict[str, Any]:
    return resource("VirtualService", "v", {"hosts": [host], **spec})


def chains(name: str, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    found = listener(configuration(DB, WEB, OTHER, *objects), name)
    return [
        {
            **{key: value for key, value in chain.get("filterChainMatch", {}).items() if key != "applicationProtocols"},
            **chain["filters"][0]["typedConfig"],
        }
        for chain in [*found.get("filterChains", []), *([found["defaultFilterChain"]] if "defaultFilterChain" in found else [])]
    ]  # fmt: skip


def test_without_a_route_connections_go_to_their_service() -> None:
    assert [chain["cluster"] for chain in chains("10.96.0.9_5432")] == [DB_CLUSTER]  # T6


def test_weights_divide_connections_and_a_zero_takes_none() -> None:
    tcp = [{"route": [to("db", 80), to("other", 20), to("other", 0, subset="x")]}]
    (chain,) = chains("10.96.0.9_5432", routed("db", tcp=tcp))
    assert [(one["name"], one["weight"]) for one in chain["weightedClusters"]["clusters"]] == [
        (DB_CLUSTER, 80), ("outbound|99||other.shop.svc.cluster.local", 20),
    ]  # T5, B14  # fmt: skip


def test_the_first_tcp_block_without_subnets_ends_the_list() -> None:
    tcp = [
        {"match": [{"destinationSubnets": ["10.1.0.0/16"]}], "route": [to("db", subset="a")]},
        {"match": [{"port": 5432}], "route": [to("db", subset="b")]},
        {"route": [to("db", subset="c")]},
    ]
    found = chains("10.96.0.9_5432", routed("db", tcp=tcp))  # T3
    assert [chain["cluster"].split("|")[2] for chain in found] == ["a", "b"]
    assert found[0]["prefixRanges"] == [{"addressPrefix": "10.1.0.0", "prefixLen": 16}]


@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ({"port": 5432, "sourceLabels": {"app": "t"}, "sourceNamespace": "shop", "gateways": ["mesh"]}, True),
        ({"port": 1}, False),
        ({"sourceLabels": {"app": "x"}}, False),
        ({"sourceNamespace": "else"}, False),
        ({"gateways": ["gw"]}, False),
        ({"gateways": ["mesh"], "sourceLabels": {"app": "x"}}, False),
    ],
)
def test_static_conditions_of_a_tcp_match_must_all_hold(match: dict[str, Any], taken: bool) -> None:
    (chain,) = chains("10.96.0.9_5432", routed("db", tcp=[{"match": [match], "route": [to()]}]))  # T2
    assert (chain["cluster"] != DB_CLUSTER) is taken


def test_tls_goes_by_sni_and_of_two_equal_matches_the_first_counts() -> None:
    tls = [
        {"match": [{"sniHosts": ["a.web", "b.web"]}], "route": [to("web", subset="a")]},
        {"match": [{"sniHosts": ["b.web", "a.web"]}], "route": [to("web", subset="never")]},
        {"match": [{"sniHosts": ["*.web"]}], "route": [to("web", subset="any")]},
    ]
    found = chains("10.96.0.10_443", routed("web", tls=tls))  # T1, T4
    assert [(chain["serverNames"], chain["cluster"].split("|")[2]) for chain in found] == [
        (["a.web", "b.web"], "a"), (["*.web"], "any"),
    ]  # fmt: skip


def test_a_tls_match_without_sni_and_weights_without_a_sum_are_refused() -> None:
    bad = [
        routed("web", tls=[{"match": [{"port": 443}], "route": [to()]}]),  # T1
        routed("db", tcp=[{"route": [to(weight=0), to("db", 0)]}]),  # T7
    ]
    for item in bad:
        assert index_of(DB, item).problems


def test_a_tunnel_and_the_idle_timeout_are_the_tcp_proxys() -> None:
    policy = {
        "tunnel": {"protocol": "CONNECT", "targetHost": "x.example", "targetPort": 443},
        "connectionPool": {"tcp": {"idleTimeout": "7s"}},
    }
    (chain,) = chains("10.96.0.9_5432", destination_rule("d", "db", trafficPolicy=policy))
    assert chain["tunnelingConfig"]["hostname"] == "x.example:443"  # D16
    assert chain["idleTimeout"] == "7s"  # D9


def subnets_of(*blocks: list[dict[str, Any]]) -> list[list[str]]:
    """Chain by chain, of blocks with these matches."""
    tcp = [{"match": found, "route": [to()]} for found in blocks]
    return [
        [f"{item['addressPrefix']}/{item['prefixLen']}" for item in chain["prefixRanges"]]
        for chain in chains("10.96.0.9_5432", routed("db", tcp=tcp))
        if "prefixRanges" in chain
    ]


def test_a_subnet_is_in_one_chain_however_often_and_in_whichever_spelling_it_is_written() -> None:
    assert subnets_of([{"destinationSubnets": ["10.0.0.0/8"]}, {"destinationSubnets": ["10.0.0.0/8"]}]) == [
        ["10.0.0.0/8"]
    ]
    first, later = [{"destinationSubnets": ["192.0.2.7"]}], [{"destinationSubnets": ["192.0.2.7/32"]}]
    assert subnets_of(first, later) == [["192.0.2.7/32"]]


def test_of_a_later_chain_remains_what_is_left() -> None:
    first, later = [{"destinationSubnets": ["10.0.0.0/8"]}], [{"destinationSubnets": ["10.0.0.0/8", "192.0.2.0/24"]}]
    assert subnets_of(first, later) == [["10.0.0.0/8"], ["192.0.2.0/24"]]
