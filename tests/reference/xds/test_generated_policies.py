"""Rows of DestinationRules that other modules do not have: D2, D4, D5, D9-D15, D18 and precedence (§1.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from memory_kube import destination_rule, service
from mesh_of import CLIENT, cluster, clusters, configuration, index_of

from mesh_reference.xds.resources import CLUSTER

REVIEWS = service("reviews", "10.96.0.7")
ALL = "outbound|80||reviews.shop.svc.cluster.local"


def with_policy(subsets: list[dict[str, Any]] | None = None, name: str = ALL, **policy: Any) -> dict[str, Any]:
    rule = destination_rule("r", "reviews", trafficPolicy=policy)
    rule["spec"]["subsets"] = subsets or []
    return cluster(configuration(REVIEWS, rule), name)


def test_simple_balancers_and_their_default() -> None:
    assert with_policy()["lbPolicy"] == "LEAST_REQUEST"  # D2
    assert "lbPolicy" not in with_policy(loadBalancer={"simple": "ROUND_ROBIN"})  # Envoy's zero value
    assert with_policy(loadBalancer={"simple": "RANDOM"})["lbPolicy"] == "RANDOM"
    assert with_policy(loadBalancer={"simple": "LEAST_CONN"})["lbPolicy"] == "LEAST_REQUEST"
    passing = with_policy(loadBalancer={"simple": "PASSTHROUGH"})
    assert (passing["type"], passing["lbPolicy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")


def test_rings_and_tables_have_their_sizes() -> None:
    key = {"httpHeaderName": "x"}
    assert with_policy(loadBalancer={"consistentHash": key})["ringHashLbConfig"]["minimumRingSize"] == "1024"  # D4
    sized = with_policy(loadBalancer={"consistentHash": {**key, "ringHash": {"minimumRingSize": 9}}})
    assert sized["ringHashLbConfig"]["minimumRingSize"] == "9"
    table = with_policy(loadBalancer={"consistentHash": {**key, "maglev": {"tableSize": 101}}})
    assert (table["lbPolicy"], table["maglevLbConfig"]["tableSize"]) == ("MAGLEV", "101")


def test_new_pods_warm_up_where_the_balancer_can() -> None:
    warm = {"warmup": {"duration": "30s"}}
    found = with_policy(loadBalancer={"simple": "ROUND_ROBIN", **warm})["roundRobinLbConfig"]["slowStartConfig"]
    assert (found["slowStartWindow"], found["minWeightPercent"]["value"]) == ("30s", 10)  # D5
    assert "roundRobinLbConfig" not in with_policy(loadBalancer={"simple": "RANDOM", **warm})


def test_connections_have_limits_times_and_keepalives() -> None:
    tcp = {
        "maxConnections": 3,
        "connectTimeout": "2s",
        "tcpKeepalive": {"time": "60s", "probes": 4},
        "maxConnectionDuration": "9s",
    }
    http = {
        "http2MaxRequests": 7,
        "maxRetries": 2,
        "maxRequestsPerConnection": 1,
        "idleTimeout": "5s",
        "h2UpgradePolicy": "UPGRADE",
    }
    found = with_policy(connectionPool={"tcp": tcp, "http": http}, retryBudget={"percent": 30})  # D9, D10, D11
    limits = found["circuitBreakers"]["thresholds"][0]
    assert (limits["maxConnections"], limits["maxRequests"], limits["maxRetries"]) == (3, 7, 2)
    assert limits["retryBudget"] == {"budgetPercent": {"value": 30.0}, "minRetryConcurrency": 3}
    assert found["connectTimeout"] == "2s"
    assert found["upstreamConnectionOptions"]["tcpKeepalive"] == {"keepaliveProbes": 4, "keepaliveTime": 60}
    (options,) = found["typedExtensionProtocolOptions"].values()
    assert options["commonHttpProtocolOptions"]["idleTimeout"] == "5s"
    assert "http2ProtocolOptions" in options["explicitHttpConfig"]
    assert with_policy()["connectTimeout"] == "10s"  # §1.9


def test_detectors_are_on_off_or_left_to_envoy() -> None:
    found = with_policy(
        outlierDetection={"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 3, "minHealthPercent": 40}
    )
    detection = found["outlierDetection"]  # D12
    assert (detection["enforcingConsecutive5xx"], detection["enforcingConsecutiveGatewayFailure"]) == (0, 100)
    assert detection["enforcingSuccessRate"] == 0
    assert found["commonLbConfig"]["healthyPanicThreshold"]["value"] == 40
    unset = with_policy(outlierDetection={"interval": "1s"})
    assert unset["commonLbConfig"]["healthyPanicThreshold"] == {}  # 0


def test_errors_that_istio_ignores_are_named() -> None:
    rule = destination_rule("r", "reviews", trafficPolicy={"outlierDetection": {"consecutiveErrors": 5}})
    (problems,) = index_of(REVIEWS, rule).problems.values()
    assert problems[0].served  # D12
    assert "consecutiveErrors" in problems[0].text


@pytest.mark.parametrize("mode", ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])
def test_tls_is_what_the_rule_says(mode: str) -> None:
    files = {"clientCertificate": "/c", "privateKey": "/k"} if mode == "MUTUAL" else {}
    found = with_policy(tls={"mode": mode, **files})  # D13
    assert "transportSocketMatches" not in found
    if mode == "DISABLE":
        assert "transportSocket" not in found
        return
    context = found["transportSocket"]["typedConfig"]
    secrets = context["commonTlsContext"].get("tlsCertificateSdsSecretConfigs")
    assert bool(secrets) is (mode == "ISTIO_MUTUAL")
    if mode != "ISTIO_MUTUAL":
        (options,) = found["typedExtensionProtocolOptions"].values()
        assert options["upstreamHttpProtocolOptions"] == {"autoSni": True, "autoSanValidation": True}
        assert context["commonTlsContext"]["validationContext"]["trustedCa"]["filename"].endswith("ca-certificates.crt")


def test_a_credential_name_in_a_sidecar_is_refused_loudly() -> None:
    rule = destination_rule("r", "reviews", trafficPolicy={"tls": {"mode": "SIMPLE", "credentialName": "c"}})
    (problems,) = index_of(REVIEWS, rule).problems.values()
    assert "credentialName is not supported" in problems[0].text  # D14


def test_a_rule_with_a_selector_is_for_those_pods_of_its_own_namespace() -> None:
    rule = destination_rule(
        "r", "reviews", {"v1": {"version": "v1"}}, workloadSelector={"matchLabels": {"app": "t"}}, exportTo=["*"]
    )
    config = configuration(REVIEWS, rule)
    v1 = ALL.replace("||", "|v1|")
    assert v1 in clusters(config)  # D15
    assert v1 not in clusters(config, replace(CLIENT, id="x.shop", labels={}))
    assert v1 not in clusters(config, replace(CLIENT, id="t.else", namespace="else"))


def test_the_clients_namespace_comes_before_the_services_and_that_before_the_root() -> None:
    def rule(namespace: str, limit: int, **spec: Any) -> dict[str, Any]:
        policy = {"connectionPool": {"tcp": {"maxConnections": limit}}}
        return destination_rule(
            "r", "reviews.shop.svc.cluster.local", namespace=namespace, trafficPolicy=policy, **spec
        )

    def limit(*rules: dict[str, Any]) -> int:
        client = replace(CLIENT, id="t.client", namespace="client")
        body = configuration(REVIEWS, *rules).all_of(CLUSTER, client)[ALL].body
        return int(json_format.MessageToDict(body)["circuitBreakers"]["thresholds"][0]["maxConnections"])

    root, own, mine = rule("istio-system", 1), rule("shop", 2), rule("client", 3)
    assert limit(root) == 1
    assert limit(root, own) == 2
    assert limit(root, own, mine) == 3
    assert limit(root, rule("shop", 2, exportTo=["."])) == 1  # D19


def test_an_exact_host_beats_a_wildcard_and_inherits_nothing_from_it() -> None:
    wild = destination_rule("w", "*.shop.svc.cluster.local", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}})
    exact = destination_rule("e", "reviews", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 1}}})
    assert cluster(configuration(REVIEWS, wild), ALL)["lbPolicy"] == "RANDOM"
    assert cluster(configuration(REVIEWS, wild, exact), ALL)["lbPolicy"] == "LEAST_REQUEST"


def test_rules_of_one_host_are_merged_and_the_first_keeps_its_names() -> None:
    first = destination_rule(
        "a", "reviews", {"v1": {"version": "old"}}, trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}
    )
    second = destination_rule("b", "reviews", {"v1": {"version": "new"}, "v2": {"version": "2"}})
    config = configuration(REVIEWS, first, second)
    assert {ALL.replace("||", "|v1|"), ALL.replace("||", "|v2|")} <= clusters(config)
    assert cluster(config, ALL)["lbPolicy"] == "RANDOM"
    rule = config.view(CLIENT).scope.destination_rule("reviews.shop.svc.cluster.local", {})
    assert rule is not None
    assert [subset.labels for subset in rule.subsets] == [(("version", "old"),), (("version", "2"),)]


def test_an_entry_for_a_port_replaces_the_policy_wholesale() -> None:
    found = with_policy(
        loadBalancer={"simple": "RANDOM"},
        portLevelSettings=[{"port": {"number": 80}, "connectionPool": {"tcp": {"maxConnections": 4}}}],
    )
    assert found["lbPolicy"] == "LEAST_REQUEST"
    assert found["circuitBreakers"]["thresholds"][0]["maxConnections"] == 4
