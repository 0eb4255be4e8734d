"""Clusters, endpoints and listeners by the rows of the feature table, for one client and for one server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memory_kube import destination_rule, endpoint_slice, pod, service, virtual_service
from mesh_of import CLIENT, addresses, cluster, clusters, configuration, listener, listeners

from mesh_reference.model.proxies import Proxy

REVIEWS = service("reviews", "10.96.0.7")
ALL = "outbound|80||reviews.shop.svc.cluster.local"
V1 = "outbound|80|v1|reviews.shop.svc.cluster.local"
PODS = (
    pod("r1", "10.244.0.11", {"version": "v1", "security.istio.io/tlsMode": "istio"}, "one"),
    pod("r2", "10.244.0.12", {"version": "v2"}, "two"),
)
SLICE = endpoint_slice("reviews", ["10.244.0.11", "10.244.0.12"])
SUBSETS = {"v1": {"version": "v1"}, "none": {"version": "v9"}}
SERVER = Proxy(id="r1.shop", namespace="shop", address="10.244.0.11", service_account="one")


def policy(mode: str, name: str = "p", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "kind": "PeerAuthentication",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"mtls": {"mode": mode}, **spec},
    }


def test_a_subset_is_a_cluster_of_the_pods_with_its_labels() -> None:
    config = configuration(REVIEWS, SLICE, *PODS, destination_rule("r", "reviews", SUBSETS))
    assert {ALL, V1} <= clusters(config)  # D1
    assert addresses(config, ALL) == ["10.244.0.11", "10.244.0.12"]
    assert addresses(config, V1) == ["10.244.0.11"]
    assert addresses(config, V1.replace("v1", "none")) == []  # F3


def test_a_cluster_speaks_mutual_tls_to_the_identities_of_its_servers_only() -> None:
    found = cluster(configuration(REVIEWS, SLICE, *PODS), ALL)
    mutual, plain = found["transportSocketMatches"]
    context = mutual["transportSocket"]["typedConfig"]
    assert context["sni"] == "outbound_.80_._.reviews.shop.svc.cluster.local"
    validation = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    assert [item["matcher"]["exact"] for item in validation["matchTypedSubjectAltNames"]] == [
        "spiffe://cluster.local/ns/shop/sa/one",
        "spiffe://cluster.local/ns/shop/sa/two",
    ]
    assert plain["name"] == "tlsMode-disabled"


def test_limits_are_circuit_breakers_and_unset_ones_are_none() -> None:
    rule = destination_rule(
        "r", "reviews", trafficPolicy={"connectionPool": {"http": {"http1MaxPendingRequests": 100}}}
    )
    (limits,) = cluster(configuration(REVIEWS, rule), ALL)["circuitBreakers"]["thresholds"]
    assert (limits["maxPendingRequests"], limits["maxConnections"]) == (100, 2**32 - 1)  # D10, F9


def test_a_subsets_policy_overrides_block_by_block_and_a_ports_wholesale() -> None:
    rule = destination_rule(
        "r",
        "reviews",
        trafficPolicy={
            "loadBalancer": {"simple": "ROUND_ROBIN"},
            "connectionPool": {"tcp": {"maxConnections": 5}},
        },
    )
    rule["spec"]["subsets"] = [
        {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    ]
    found = cluster(configuration(REVIEWS, rule), V1)
    assert found["lbPolicy"] == "RANDOM"
    assert found["circuitBreakers"]["thresholds"][0]["maxConnections"] == 5


def test_a_rule_that_is_not_exported_does_not_touch_foreign_clients() -> None:
    config = configuration(REVIEWS, destination_rule("r", "reviews", SUBSETS, exportTo=["."]))
    assert V1 in clusters(config)
    assert V1 not in clusters(config, replace(CLIENT, namespace="else"))  # D19


def test_http_ports_share_a_listener_and_tcp_ports_have_their_own() -> None:
    config = configuration(
        REVIEWS,
        service("more", "10.96.0.8"),
        service("db", "10.96.0.9", [{"name": "tcp-db", "port": 5432}]),
        service("any", "10.96.0.10", [{"port": 7000}]),
    )
    assert listeners(config) == {
        "0.0.0.0_80", "10.96.0.9_5432", "10.96.0.10_7000", "virtualInbound", "virtualOutbound",
    }  # fmt: skip
    detected = listener(config, "10.96.0.10_7000")["filterChains"][0]["filters"][0]["typedConfig"]
    assert detected["rds"]["routeConfigName"] == "any.shop.svc.cluster.local:7000"


def test_ports_of_the_proxys_own_listeners_are_left_to_it() -> None:
    config = configuration(service("odd", "10.96.0.9", [{"name": "http", "port": 15021}]))
    assert listeners(config) == {"virtualInbound", "virtualOutbound"}


def test_headless_tcp_listens_on_each_endpoint() -> None:
    headless = service("db", "None", [{"name": "tcp", "port": 5432}])
    config = configuration(headless, endpoint_slice("db", ["10.244.0.31", "10.244.0.32"], 5432, "tcp"))
    assert {"10.244.0.31_5432", "10.244.0.32_5432"} < listeners(config)


def test_the_server_has_a_cluster_and_chains_for_each_port_of_its_services() -> None:
    config = configuration(REVIEWS, SLICE, *PODS)
    assert "inbound|8080||" in clusters(config, SERVER)
    assert "inbound|8080||" not in clusters(config)
    assert cluster(config, "inbound|8080||", SERVER)["upstreamBindConfig"]["sourceAddress"]["address"] == "127.0.0.6"
    assert len(chains(config)) == 2  # PERMISSIVE


def test_strict_leaves_no_chain_for_plaintext_and_disable_none_for_tls() -> None:
    base = (REVIEWS, SLICE, *PODS)
    assert [
        chain["filterChainMatch"]["transportProtocol"] for chain in chains(configuration(*base, policy("STRICT")))
    ] == ["tls"]  # F11
    off = configuration(*base, policy("STRICT", "mesh", "istio-system"), policy("DISABLE"))
    assert [chain["filterChainMatch"]["transportProtocol"] for chain in chains(off)] == ["raw_buffer"]
    assert "transportSocket" not in chains(off)[0]


def chains(config: Any) -> list[dict[str, Any]]:
    found = listener(config, "virtualInbound", SERVER)["filterChains"]
    return [chain for chain in found if chain.get("filterChainMatch", {}).get("destinationPort") == 8080]


def test_proxies_that_differ_in_no_relevant_label_share_their_view() -> None:
    one, two = (replace(CLIENT, id=f"p{n}.shop", address=f"10.244.1.{n}", labels={"n": str(n)}) for n in (1, 2))
    config = configuration(REVIEWS)
    assert config.view(one) is config.view(two)
    told = configuration(
        REVIEWS,
        virtual_service(
            "a",
            ["reviews"],
            [{"match": [{"sourceLabels": {"n": "1"}}], "route": [{"destination": {"host": "reviews"}}]}],
        ),
    )
    assert told.view(one) is not told.view(two)
