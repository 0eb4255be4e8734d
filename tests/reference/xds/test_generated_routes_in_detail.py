"""Rows of routes that other modules do not have: B3, B12, M, W8, W9, R."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from memory_kube import destination_rule, endpoint_slice, pod, service, virtual_service
from mesh_of import CLIENT, configuration, hosts, index_of, listener, routes

from mesh_reference.model.proxies import Proxy

REVIEWS = service("reviews", "10.96.0.7")
HOST = "reviews.shop.svc.cluster.local:80"
ALL = "outbound|80||reviews.shop.svc.cluster.local"
TO: dict[str, Any] = {"destination": {"host": "reviews"}}


def made(*http: dict[str, Any], **spec: Any) -> list[dict[str, Any]]:
    return routes(configuration(REVIEWS, virtual_service("a", ["reviews"], list(http), **spec)), HOST)


def matched(**match: Any) -> dict[str, Any]:
    found: dict[str, Any] = made({"match": [match], "route": [TO]})[0]
    return found


def test_hosts_are_compared_without_case() -> None:
    upper = virtual_service("a", ["Reviews.Shop.svc.Cluster.local"], [{"name": "mine", "route": [TO]}])
    assert routes(configuration(REVIEWS, upper), HOST)[0]["name"] == "mine"  # B3


def test_a_short_host_belongs_to_the_namespace_of_its_virtual_service() -> None:
    far = virtual_service("a", ["reviews"], [{"name": "mine", "route": [TO]}], namespace="else")
    assert routes(configuration(REVIEWS, far), HOST)[0]["name"] == "default"  # B2


@pytest.mark.parametrize(("export", "seen"), [(["*"], True), (["."], False), (["shop"], True), (["other"], False)])
def test_exports_say_who_is_routed(export: list[str], seen: bool) -> None:
    away = virtual_service(
        "a", ["reviews.shop.svc.cluster.local"], [{"name": "mine", "route": [TO]}], namespace="else", exportTo=export
    )
    assert (routes(configuration(REVIEWS, away), HOST)[0]["name"] == "mine") is seen  # B4, B12


def test_a_destinations_port_is_its_own_or_the_listeners() -> None:
    two = service("two", "10.96.0.9", [{"name": "http", "port": 80}, {"name": "http-b", "port": 8080}])
    (route,) = routes(
        configuration(two, virtual_service("a", ["two"], [{"route": [{"destination": {"host": "two", "port": {"number": 8080}}}]}])),
        "two.shop.svc.cluster.local:80",
    )  # fmt: skip
    assert route["route"]["cluster"] == "outbound|8080||two.shop.svc.cluster.local"  # B14


def test_paths_are_exact_raw_prefixes_or_whole_expressions() -> None:
    assert matched(uri={"exact": "/a"})["match"]["path"] == "/a"  # M2
    assert matched(uri={"prefix": "/foo"})["match"]["prefix"] == "/foo"  # M3
    assert matched(uri={"regex": "/a.*"})["match"]["safeRegex"]["regex"] == "/a.*"  # M4
    assert matched(uri={"exact": "/a"}, ignoreUriCase=True)["match"]["caseSensitive"] is False  # M5


def test_pseudo_headers_are_matched_like_headers() -> None:
    found = matched(scheme={"exact": "https"}, authority={"prefix": "a"}, method={"regex": "GET|PUT"})["match"][
        "headers"
    ]
    assert [header["name"] for header in found] == [":method", ":authority", ":scheme"]  # M6


def test_a_block_that_names_gateways_forgets_its_source_conditions() -> None:
    block = {"gateways": ["mesh"], "sourceLabels": {"app": "other"}, "sourceNamespace": "other"}
    assert made({"name": "mine", "match": [block], "route": [TO]})[0]["name"] == "mine"  # M14
    assert made({"name": "mine", "match": [{"gateways": ["gw"]}], "route": [TO]})[0]["name"] == "default"  # M14, F5


def test_a_block_for_another_namespace_or_port_is_not_there() -> None:
    assert made({"name": "x", "match": [{"sourceNamespace": "other"}], "route": [TO]})[0]["name"] == "default"  # M13
    assert made({"name": "x", "match": [{"port": 81}], "route": [TO]})[0]["name"] == "default"  # M11


def test_a_stat_prefix_and_an_absent_match_are_taken_over() -> None:
    assert matched(statPrefix="mine", uri={"exact": "/"})["statPrefix"] == "mine"  # M15
    (route,) = made({"route": [TO]})
    assert route["match"]["prefix"] == "/"  # M16


def test_headers_of_a_branch_are_on_that_branch_alone() -> None:
    changed = {"headers": {"request": {"set": {"x-b": "1", "Host": "b.example"}}}}
    (route,) = made({"route": [{**TO, "weight": 1, **changed}, {**TO, "weight": 1}]})  # W8
    first, second = route["route"]["weightedClusters"]["clusters"]
    assert first["requestHeadersToAdd"][0]["header"] == {"key": "x-b", "value": "1"}
    assert (first["hostRewriteLiteral"], "requestHeadersToAdd" in second) == ("b.example", False)
    (single,) = made({"route": [{**TO, **changed}], "rewrite": {"authority": "r.example"}})
    assert single["route"]["hostRewriteLiteral"] == "r.example"


def test_a_branch_to_an_unknown_subset_stays_among_the_weights() -> None:
    nope = {"destination": {"host": "reviews", "subset": "nope"}, "weight": 30}
    (route,) = made({"route": [nope, {**TO, "weight": 70}]})  # W9, F1
    assert [item["weight"] for item in route["route"]["weightedClusters"]["clusters"]] == [30, 70]


def test_a_sum_beyond_what_envoy_holds_is_refused() -> None:
    bad = virtual_service("a", ["reviews"], [{"route": [{**TO, "weight": 2**31 - 1}] * 3}])
    (problem,) = index_of(REVIEWS, bad).problems["VirtualService", "shop", "a"]
    assert "exceeds" in problem.text  # W7


def test_rewrites_are_a_prefix_an_expression_or_an_authority() -> None:
    (route,) = made({"route": [TO], "rewrite": {"uriRegexRewrite": {"match": "^/(.*)$", "rewrite": r"/x/\1"}}})
    assert route["route"]["regexRewrite"]["substitution"] == r"/x/\1"  # R2
    (route,) = made(
        {"route": [TO], "rewrite": {"uri": "/n", "authority": "h"}, "headers": {"request": {"set": {"Host": "i"}}}}
    )
    assert (route["route"]["prefixRewrite"], route["route"]["hostRewriteLiteral"]) == ("/n", "h")  # R1, R3


@pytest.mark.parametrize(
    ("redirect", "wanted"),
    [
        ({"uri": "/x"}, {"pathRedirect": "/x"}),
        ({"prefixRewrite": "/p", "authority": "a", "scheme": "https"}, {"prefixRewrite": "/p", "hostRedirect": "a", "schemeRedirect": "https", "portRedirect": 0}),
        ({"authority": "a", "port": 80}, {"hostRedirect": "a"}),
        ({"authority": "a", "port": 8443}, {"hostRedirect": "a", "portRedirect": 8443}),
        ({"uri": "/x", "redirectCode": 308}, {"pathRedirect": "/x", "responseCode": "PERMANENT_REDIRECT"}),
    ],
)  # fmt: skip
def test_redirects_leave_out_the_usual_ports(redirect: dict[str, Any], wanted: dict[str, Any]) -> None:
    (route,) = made({"redirect": redirect})
    assert {key: value for key, value in route["redirect"].items() if value} == {
        key: value for key, value in wanted.items() if value
    }  # R4, R5


def test_a_redirect_code_that_envoy_lacks_leaves_a_route_without_action() -> None:
    (route,) = made({"redirect": {"uri": "/x", "redirectCode": 304}})
    assert not {"redirect", "route", "directResponse"} & set(route)  # R5


def test_a_direct_response_has_its_status_and_body() -> None:
    (route,) = made({"directResponse": {"status": 418, "body": {"string": "tea"}}})
    assert route["directResponse"] == {"status": 418, "body": {"inlineBytes": "dGVh"}}  # R6


def test_mirrors_with_and_without_a_share() -> None:
    many = [
        {"destination": {"host": "reviews"}, "percentage": {"value": 10}},
        {"destination": {"host": "x"}, "percentage": {"value": 0}},
    ]
    (route,) = made({"route": [TO], "mirrors": many})
    (policy,) = route["route"]["requestMirrorPolicies"]  # R7: 0 = none
    assert policy["disableShadowHostSuffixAppend"] is True


def test_faults_delay_and_abort_together() -> None:
    fault = {
        "delay": {"fixedDelay": "2s", "percentage": {"value": 50}},
        "abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 100}},
    }
    (route,) = made({"route": [TO], "fault": fault})
    found = route["typedPerFilterConfig"]["envoy.filters.http.fault"]
    assert (found["delay"]["fixedDelay"], found["delay"]["percentage"]["numerator"]) == ("2s", 500_000)  # R8
    assert found["abort"]["grpcStatus"] == 14  # R9


def test_retries_have_their_attempts_time_back_off_and_hosts() -> None:
    retries = {
        "attempts": 4, "perTryTimeout": "1s", "backoff": "50ms", "retryRemoteLocalities": True, "retryIgnorePreviousHosts": False,
    }  # fmt: skip
    (route,) = made({"route": [TO], "retries": retries})
    policy = route["route"]["retryPolicy"]  # R12, R14
    assert (policy["numRetries"], policy["perTryTimeout"], policy["retryBackOff"]["baseInterval"]) == (
        4,
        "1s",
        "0.050s",
    )
    assert policy["retryPriority"]["name"].endswith("previous_priorities")
    assert "retryHostPredicate" not in policy
    (without,) = made({"route": [TO], "retries": {"attempts": 0}})
    assert "retryPolicy" not in without["route"]  # R12


def test_the_servers_side_repeats_only_what_the_application_cannot_have_seen() -> None:
    server = Proxy(id="r1.shop", namespace="shop", address="10.244.0.11")
    config = configuration(REVIEWS, endpoint_slice("reviews", [server.address]), pod("r1", server.address, {}))
    chains = listener(config, "virtualInbound", server)["filterChains"]
    chain = next(item for item in chains if item.get("filterChainMatch", {}).get("destinationPort") == 8080)
    (host,) = chain["filters"][0]["typedConfig"]["routeConfig"]["virtualHosts"]
    assert host["routes"][0]["route"]["retryPolicy"]["retryOn"] == "reset-before-request"  # R16


def test_header_changes_leave_host_and_pseudo_headers_alone() -> None:
    request = {"set": {"Host": "h", ":path": "/x", "x-a": "1"}, "add": {"x-b": "2"}, "remove": ["x-c", "Host"]}
    (route,) = made({"route": [TO], "headers": {"request": request}})
    assert [item["header"]["key"] for item in route["requestHeadersToAdd"]] == ["x-a", "x-b"]  # R17
    assert route["requestHeadersToRemove"] == ["x-c"]
    assert route["route"]["hostRewriteLiteral"] == "h"  # R3


def test_cors_is_answered_by_the_proxy() -> None:
    cors = {
        "allowOrigins": [{"exact": "http://a"}, {"regex": "b.*"}], "allowMethods": ["GET", "PUT"], "allowCredentials": True,
        "maxAge": "90s", "unmatchedPreflights": "IGNORE",
    }  # fmt: skip
    (route,) = made({"route": [TO], "corsPolicy": cors})
    found = route["typedPerFilterConfig"]["envoy.filters.http.cors"]  # R18
    assert (found["allowMethods"], found["maxAge"], found["allowCredentials"]) == ("GET,PUT", "90", True)
    assert found["forwardNotMatchingPreflights"] is False


def test_a_route_without_an_action_is_refused_by_name() -> None:
    (problem,) = index_of(REVIEWS, virtual_service("a", ["reviews"], [{"name": "x"}])).problems.values()
    assert "HTTP route, redirect or direct_response is required" in problem[0].text  # R20


def test_an_expression_that_envoy_would_refuse_is_not_served_and_the_rest_is() -> None:
    bad = virtual_service("bad", ["x.example"], [{"match": [{"uri": {"regex": "(a"}}], "route": [TO]}])
    index = index_of(REVIEWS, bad, virtual_service("a", ["reviews"], [{"name": "mine", "route": [TO]}]))
    assert set(index.snapshot().virtual_services) == {("shop", "a")}
    assert "VirtualService shop/bad" in index.problems["VirtualService", "shop", "bad"][0].text


def test_weighted_routes_keep_the_host_predicate_and_every_hash() -> None:
    hashed = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
    config = configuration(
        REVIEWS, service("other", "10.96.0.8"),
        destination_rule("r", "reviews", trafficPolicy=hashed), destination_rule("o", "other", trafficPolicy=hashed),
        virtual_service("a", ["reviews"], [{"route": [{**TO, "weight": 1}, {"destination": {"host": "other"}, "weight": 1}]}]),
    )  # fmt: skip
    action = routes(config, HOST)[0]["route"]
    assert len(action["hashPolicy"]) == 2  # R15
    assert "retryHostPredicate" in action["retryPolicy"]


def test_a_client_of_another_namespace_has_a_view_of_its_own() -> None:
    config = configuration(REVIEWS)
    other = replace(CLIENT, id="t.else", namespace="else", address="10.244.9.9")
    assert hosts(config, proxy=other)[HOST]["domains"][2] == "reviews.shop"
