"""What the suite calls valid, and what Galley only warns of, a real Envoy takes: each document on a host of its own, all at once."""

from __future__ import annotations

import json

import pytest
from memory_kube import destination_rule, resource, service
from mesh_of import CLIENT, cluster, configuration, index_of, listener
from test_envoy_accepts_what_is_generated import BASE, assert_envoy_takes

from mesh_conformance.validation.vectors import acceptable

_ON_DISK = '"privateKey"'
"""Of files on the proxy's own disk nobody can say here whether they are there."""


def is_served(document):
    return all(item.served for found in index_of(document).problems.values() for item in found)


def test_a_real_envoy_takes_every_valid_document_of_the_suite(tmp_path):
    wanted = [one for one in acceptable(0, None, "shop") if _ON_DISK not in json.dumps(one)]
    objects = []
    for number, one in enumerate(wanted):
        name = one["metadata"]["name"]
        if one["kind"] in {"VirtualService", "DestinationRule"}:
            objects.append(service(name, f"10.97.{number // 250}.{number % 250 + 1}"))
            objects.append(json.loads(json.dumps(one).replace('"reviews"', f'"{name}"')))
        elif one["kind"] == "ServiceEntry":
            objects.append(one)
    served = [one for one in objects if is_served(one)]

    assert len(served) > 300
    assert_envoy_takes([*BASE, *served], CLIENT, tmp_path)


def test_a_maglev_table_of_one_slot_which_would_end_envoy_is_not_sent():
    rule = destination_rule(
        "d", "reviews", trafficPolicy={"loadBalancer": {"consistentHash": {"maglev": {"tableSize": 1}}}}
    )
    objects = [service("reviews", "10.96.0.7"), rule]

    made = cluster(configuration(*objects), "outbound|80||reviews.shop.svc.cluster.local")

    assert made["lbPolicy"] == "MAGLEV"
    assert "tableSize" not in made.get("maglevLbConfig", {})
    (told,) = [one for found in index_of(*objects).problems.values() for one in found]
    assert told.served
    assert "tableSize: Envoy divides by one less and ends" in told.text


@pytest.mark.parametrize("by_route", [False, True], ids=["ServiceEntry", "sniHosts"])
def test_a_server_name_that_envoy_cannot_read_makes_no_filter_chain_and_is_told(by_route):
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    objects = [
        resource(
            "ServiceEntry",
            "e",
            {
                "hosts": ["*.example.com" if by_route else "*-a.example.com", "b.example.com"],
                "ports": ports,
                "resolution": "STATIC",
                "endpoints": [{"address": "10.0.0.1"}],
            },
        )
    ]
    if by_route:
        match = {"port": 443, "sniHosts": ["*-a.example.com", "c.example.com"]}
        route = {"match": [match], "route": [{"destination": {"host": "b.example.com"}}]}
        objects.append(resource("VirtualService", "v", {"hosts": ["*.example.com"], "tls": [route]}))

    made = listener(configuration(*objects), "0.0.0.0_443")

    names = {
        name for chain in made["filterChains"] for name in chain.get("filterChainMatch", {}).get("serverNames", ())
    }
    assert names == ({"c.example.com"} if by_route else {"b.example.com"})
    texts = [one.text for found in index_of(*objects).problems.values() for one in found]
    assert any("'*-a.example.com'" in text and "whole labels as wildcards only" in text for text in texts)
