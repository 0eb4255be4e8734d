"""D6-D8: shares and priorities of endpoints by where the client is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from memory_kube import destination_rule, endpoint_slice, node, pod, service
from mesh_of import CLIENT, cluster, configuration

from mesh_reference.xds.resources import ENDPOINT

ALL = "outbound|80||reviews.shop.svc.cluster.local"
NODES = [node("n1", "r1", "z1"), node("n2", "r1", "z2"), node("n3", "r2", "z3")]
OUTLIER = {"outlierDetection": {"consecutive5xxErrors": 1}}


def on(name: str, address: str, node_name: str, **labels: str) -> dict[str, Any]:
    out = pod(name, address, {"app": "r", **labels})
    out["spec"]["nodeName"] = node_name
    return out


def told(policy: dict[str, Any], *, distribution: str = "", client: str = "n1") -> dict[str, tuple[int, int]]:
    """Zone: (priority, weight), for a client on that node."""
    reviews = service("reviews", "10.96.0.7")
    if distribution:
        reviews["spec"]["trafficDistribution"] = distribution
    config = configuration(
        reviews, *NODES, *[on(f"p{n}", f"10.244.0.{n}", f"n{n}") for n in (1, 2, 3)],
        endpoint_slice("reviews", ["10.244.0.1", "10.244.0.2", "10.244.0.3"]),
        on("tester-1", CLIENT.address, client),
        *([destination_rule("d", "reviews", trafficPolicy=policy)] if policy else []),
    )  # fmt: skip
    body = json_format.MessageToDict(config.named(ENDPOINT, CLIENT, [ALL])[ALL].body)
    return {
        group["locality"]["zone"]: (group.get("priority", 0), group["loadBalancingWeight"])
        for group in body["endpoints"]
    }


def balanced(**setting: Any) -> dict[str, Any]:
    return {"loadBalancer": {"localityLbSetting": setting}}


def test_without_outlier_detection_every_locality_is_alike() -> None:
    assert set(told({}).values()) == {(0, 1)}  # D7: inert
    assert set(told(balanced(failover=[{"from": "r1", "to": "r2"}])).values()) == {(0, 1)}


def test_with_outlier_detection_near_endpoints_come_first() -> None:
    assert told(OUTLIER) == {"z1": (0, 1), "z2": (1, 1), "z3": (2, 1)}  # D7
    assert told(OUTLIER, client="n3") == {"z1": (1, 1), "z2": (1, 1), "z3": (0, 1)}


def test_locality_balancing_can_be_turned_off() -> None:
    assert set(told({**OUTLIER, **balanced(enabled=False)}).values()) == {(0, 1)}  # D8


def test_shares_go_to_the_localities_that_are_named_and_nothing_to_others() -> None:
    shares = balanced(distribute=[{"from": "r1/*", "to": {"r1/z1/*": 80, "r2/*": 20}}])
    assert told(shares) == {"z1": (0, 80), "z3": (0, 20)}  # D6
    assert set(told(shares, client="n3").values()) == {(0, 1)}  # no rule is for that client


def test_failover_names_the_region_that_comes_next() -> None:
    away = {**OUTLIER, **balanced(failover=[{"from": "r1", "to": "r9"}])}
    assert told(away) == {"z1": (0, 1), "z2": (1, 1), "z3": (2, 1)}


@pytest.mark.parametrize("distribution", ["PreferClose", "PreferSameZone"])
def test_a_services_own_wish_counts_where_no_rule_says_otherwise(distribution: str) -> None:
    assert told({}, distribution=distribution)["z1"] == (0, 1)  # D8
    assert told({}, distribution=distribution)["z3"][0] > told({}, distribution=distribution)["z2"][0] > 0


def test_failover_priority_goes_by_labels() -> None:
    keyed = {**OUTLIER, **balanced(failoverPriority=["topology.kubernetes.io/region=r2"])}
    assert told(keyed) == {"z1": (1, 1), "z2": (1, 1), "z3": (0, 1)}  # D7


def test_the_cluster_counts_weights_of_localities_only_where_they_mean_something() -> None:
    plain = configuration(service("reviews", "10.96.0.7"))
    assert "commonLbConfig" not in cluster(plain, ALL)
    rule = destination_rule("d", "reviews", trafficPolicy=OUTLIER)
    assert "localityWeightedLbConfig" in cluster(configuration(service("reviews", "10.96.0.7"), rule), ALL)["commonLbConfig"]  # fmt: skip


def test_proxies_share_a_view_across_zones_unless_it_matters() -> None:
    other = replace(CLIENT, id="t2.shop", address="10.244.7.7", locality=("r2", "z3", ""))
    plain = configuration(service("reviews", "10.96.0.7"))
    assert plain.view(CLIENT) is plain.view(other)
    rule = destination_rule("d", "reviews", trafficPolicy=OUTLIER)
    config = configuration(service("reviews", "10.96.0.7"), rule)
    assert config.view(CLIENT) is not config.view(other)
