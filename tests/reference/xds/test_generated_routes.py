"""Routes and virtual hosts by the rows of the feature table: B binding, M match, W weights, R actions, F failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_kube import destination_rule, pod, service, virtual_service
from mesh_of import CLIENT, configuration, hosts, index_of, routes

from mesh_reference.settings import OutboundPolicy, Settings

REVIEWS = service("reviews", "10.96.0.7")
HOST = "reviews.shop.svc.cluster.local:80"
V1 = "outbound|80|v1|reviews.shop.svc.cluster.local"
V2 = "outbound|80|v2|reviews.shop.svc.cluster.local"


def to(subset: str = "", weight: int = 0, host: str = "reviews") -> dict[str, Any]:
    return {"destination": {"host": host, **({"subset": subset} if subset else {})}, "weight": weight}


def made(*http: dict[str, Any], **spec: Any) -> list[dict[str, Any]]:
    return routes(configuration(REVIEWS, virtual_service("a", ["reviews"], list(http), **spec)), HOST)


def test_a_service_without_virtual_service_has_the_default_route() -> None:
    (route,) = routes(configuration(REVIEWS), HOST)
    assert (route["name"], route["route"]["cluster"]) == ("default", "outbound|80||reviews.shop.svc.cluster.local")
    assert route["route"]["retryPolicy"]["numRetries"] == 2  # R11
    assert route["route"]["timeout"] == "0s"  # R10


def test_domains_are_istios_for_a_client_of_the_same_and_of_another_namespace() -> None:
    config = configuration(REVIEWS)
    full = "reviews.shop.svc.cluster.local"
    assert hosts(config)[HOST]["domains"] == [
        full, f"{full}.", "reviews", "reviews.shop.svc", "reviews.shop", "10.96.0.7",
    ]  # fmt: skip
    other = replace(CLIENT, namespace="else")
    assert "reviews" not in hosts(config, proxy=other)[HOST]["domains"]


def test_two_weights_become_a_weighted_cluster_and_a_zero_is_left_out() -> None:
    (route,) = made({"route": [to("v1", 80), to("v2", 20), to("v3", 0)]})  # W1, W4
    branches = route["route"]["weightedClusters"]["clusters"]
    assert [(branch["name"], branch["weight"]) for branch in branches] == [(V1, 80), (V2, 20)]


def test_a_single_destination_needs_no_weight() -> None:
    (route,) = made({"route": [to("v1", 0)]})  # W3
    assert route["route"]["cluster"] == V1


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6).filter(any))
def test_weighted_clusters_keep_every_ratio_and_the_sum(weights: list[int]) -> None:
    (route,) = made({"route": [to(f"s{number}", weight) for number, weight in enumerate(weights)]})  # W1, W2, W4
    branches = route["route"]["weightedClusters"]["clusters"]
    assert [branch["weight"] for branch in branches] == [weight for weight in weights if weight]
    assert sum(branch["weight"] for branch in branches) == sum(weights)


@pytest.mark.parametrize(("weights", "words"), [((0, 0), "total destination weight = 0"), ((-1, 2), "weight -1 < 0")])
def test_weights_that_mean_nothing_are_not_served_and_named(weights: tuple[int, int], words: str) -> None:
    bad = virtual_service("a", ["reviews"], [{"route": [to("v1", weights[0]), to("v2", weights[1])]}])
    index = index_of(REVIEWS, bad)  # W5, W6
    (problem,) = index.problems["VirtualService", "shop", "a"]
    assert words in problem.text
    assert "VirtualService shop/a" in problem.text
    assert not index.snapshot().virtual_services


def test_generation_stops_at_the_first_catch_all() -> None:
    found = made({"match": [{"uri": {"prefix": "/a"}}], "route": [to("v1")]}, {"route": [to("v2")]}, {"route": [to()]})
    assert [route["route"]["cluster"] for route in found] == [V1, V2]


def test_matches_use_envoys_forms() -> None:
    (route, *_rest) = made(
        {
            "name": "r",
            "match": [
                {
                    "name": "m",
                    "uri": {"regex": "/a.*"},
                    "headers": {"x-b": {"exact": "1"}, "x-a": {}},
                    "withoutHeaders": {"x-no": {"exact": "2"}},
                    "method": {"exact": "GET"},
                    "queryParams": {"q": {"prefix": "z"}},
                }
            ],
            "route": [to("v1")],
        },
    )
    match = route["match"]
    assert route["name"] == "r.m"  # M1
    assert match["safeRegex"] == {"regex": "/a.*"}  # M4
    assert [header["name"] for header in match["headers"]] == ["x-a", "x-b", "x-no", ":method"]  # M6, M7
    assert match["headers"][0]["presentMatch"] is True  # M7
    assert match["headers"][2]["invertMatch"] is match["headers"][2]["treatMissingHeaderAsEmpty"] is True  # M8
    assert match["queryParameters"] == [{"name": "q", "stringMatch": {"prefix": "z"}}]  # M10


def test_static_conditions_drop_blocks_for_other_clients_and_the_default_remains() -> None:
    only = virtual_service("a", ["reviews"], [{"match": [{"sourceLabels": {"app": "other"}}], "route": [to("v1")]}])
    assert routes(configuration(REVIEWS, only), HOST)[0]["name"] == "default"  # M12, F5
    config = configuration(REVIEWS, only, pod("tester-1", CLIENT.address, {"app": "other"}))
    assert routes(config, HOST)[0]["route"]["cluster"] == V1


def test_a_gateways_virtual_service_does_not_touch_sidecars() -> None:
    assert made({"route": [to("v1")]}, gateways=["gw"])[0]["name"] == "default"  # B1
    assert made({"route": [to("v1")]}, gateways=["gw", "mesh"])[0]["route"]["cluster"] == V1


def test_of_two_virtual_services_for_a_host_the_oldest_has_it_all() -> None:
    first, second = (virtual_service(name, ["reviews"], [{"route": [to(name)]}]) for name in ("v2", "v1"))
    (route,) = routes(configuration(REVIEWS, first, second), HOST)  # B5
    assert route["route"]["cluster"] == V2


def test_a_private_virtual_service_beats_an_older_public_one() -> None:
    public = virtual_service("p", ["reviews.shop.svc.cluster.local"], [{"route": [to("v1")]}], namespace="else")
    private = virtual_service("q", ["reviews"], [{"route": [to("v2")]}], exportTo=["."])
    (route,) = routes(configuration(REVIEWS, public, private), HOST)  # B6
    assert route["route"]["cluster"] == V2


def test_an_exact_host_beats_an_older_wildcard() -> None:
    wild = virtual_service("w", ["*.shop.svc.cluster.local"], [{"route": [to("v1")]}])
    exact = virtual_service("e", ["reviews"], [{"route": [to("v2")]}])
    (route,) = routes(configuration(REVIEWS, wild, exact), HOST)  # B7
    assert route["route"]["cluster"] == V2


def test_a_host_that_is_no_service_is_known_on_port_80_only() -> None:
    config = configuration(
        REVIEWS, service("more", "10.96.0.8", [{"name": "http", "port": 8080}]),
        virtual_service("a", ["shop.example.com"], [{"route": [to("v1")]}]),
    )  # fmt: skip
    assert "shop.example.com:80" in hosts(config)  # B10
    assert "shop.example.com:8080" not in hosts(config, "8080")


def test_unknown_hosts_pass_or_are_refused_as_the_mesh_says() -> None:
    assert "allow_any" in hosts(configuration(REVIEWS))  # F6
    closed = Settings(outbound_policy=OutboundPolicy.REGISTRY_ONLY)
    blocked = hosts(configuration(REVIEWS, settings=closed))["block_all"]
    assert blocked["routes"][0]["directResponse"]["status"] == 502  # F7


def test_the_harness_epoch_marker_is_set_on_routes_redirects_and_direct_responses() -> None:
    marker = {"response": {"set": {"x-mesh-epoch": "7"}}}
    found = made(
        {"match": [{"uri": {"exact": "/r"}}], "redirect": {"uri": "/x"}, "headers": marker},
        {"match": [{"uri": {"exact": "/d"}}], "directResponse": {"status": 418}, "headers": marker},
        {"route": [to("v1", 1), to("v2", 1)], "headers": marker},
    )
    for route in found:
        (option,) = route["responseHeadersToAdd"]  # R17
        assert option["header"] == {"key": "x-mesh-epoch", "value": "7"}
        assert option["appendAction"] == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_fault_timeout_retries_mirror_and_rewrite_become_envoys() -> None:
    (route,) = made(
        {
            "route": [to("v1")],
            "timeout": "2s",
            "retries": {"attempts": 3, "retryOn": "5xx,503", "perTryTimeout": "250ms"},
            "mirror": {"host": "reviews", "subset": "v2"},
            "mirrorPercentage": {"value": 12.5},
            "rewrite": {"uri": "/new", "authority": "other"},
            "fault": {"abort": {"httpStatus": 555, "percentage": {"value": 0.1}}},
        }
    )
    action = route["route"]
    assert action["timeout"] == "2s"  # R10
    assert action["retryPolicy"]["retryOn"] == "5xx,retriable-status-codes"  # R13
    assert action["retryPolicy"]["retriableStatusCodes"] == [503]
    assert action["retryPolicy"]["perTryTimeout"] == "0.250s"  # R14
    assert action["requestMirrorPolicies"][0]["cluster"] == V2  # R7
    assert action["requestMirrorPolicies"][0]["runtimeFraction"]["defaultValue"]["numerator"] == 125_000
    assert (action["prefixRewrite"], action["hostRewriteLiteral"]) == ("/new", "other")  # R1, R3
    abort = route["typedPerFilterConfig"]["envoy.filters.http.fault"]["abort"]
    assert (abort["httpStatus"], abort["percentage"]["numerator"]) == (555, 1000)  # R9


def test_a_consistent_hash_is_on_the_route_and_keeps_the_host() -> None:
    rule = destination_rule(
        "r", "reviews", trafficPolicy={"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
    )
    config = configuration(REVIEWS, rule, virtual_service("a", ["reviews"], [{"route": [to()]}]))
    action = routes(config, HOST)[0]["route"]
    assert action["hashPolicy"] == [{"header": {"headerName": "x-user"}}]  # D3
    assert "retryHostPredicate" not in action["retryPolicy"]  # R15
