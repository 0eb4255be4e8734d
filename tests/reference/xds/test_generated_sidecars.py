"""S5-S9: what a Sidecar lets its workloads know, and how it sets up their own side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memory_kube import destination_rule, endpoint_slice, pod, resource, service, virtual_service
from mesh_of import CLIENT, cluster, clusters, configuration, hosts, listener

from mesh_reference.model.proxies import Proxy

REVIEWS, RATINGS = service("reviews", "10.96.0.7"), service("ratings", "10.96.0.8")
FAR = service("far", "10.96.0.9", namespace="else")
ALL = [REVIEWS, RATINGS, FAR]
SERVER = Proxy(id="r1.shop", namespace="shop", address="10.244.0.11")


def sidecar(name: str = "s", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return resource("Sidecar", name, spec, namespace)


def egress(*found: str, **more: Any) -> list[dict[str, Any]]:
    return [{"hosts": list(found), **more}]


def known(*objects: dict[str, Any], proxy: Proxy = CLIENT) -> set[str]:
    found = clusters(configuration(*ALL, *objects), proxy)
    return {name.split("|")[3].split(".")[0] for name in found if name.startswith("outbound")}


def test_only_listed_hosts_are_known() -> None:
    assert known() == {"reviews", "ratings", "far"}
    assert known(sidecar(egress=egress("./*"))) == {"reviews", "ratings"}  # S6
    assert known(sidecar(egress=egress("*/far.else.svc.cluster.local"))) == {"far"}
    assert known(sidecar(egress=egress("~/*"))) == set()
    assert known(sidecar(egress=egress("*/*", "~shop/ratings.shop.svc.cluster.local"))) == {"reviews", "far"}


def test_the_selecting_sidecar_comes_before_the_namespaces_and_that_before_the_roots() -> None:
    root = sidecar("r", "istio-system", egress=egress("else/*"))
    wide = sidecar("w", egress=egress("./*"))
    mine = sidecar("m", workloadSelector={"labels": {"app": "t"}}, egress=egress("./ratings.shop.svc.cluster.local"))
    assert known(root) == {"far"}  # S5
    assert known(root, wide) == {"reviews", "ratings"}
    assert known(root, wide, mine) == {"ratings"}
    assert known(root, wide, mine, proxy=replace(CLIENT, labels={"app": "x"}, id="x.shop")) == {"reviews", "ratings"}


def test_the_destinations_of_an_imported_virtual_service_are_known_with_it() -> None:
    routed = virtual_service("v", ["reviews"], [{"route": [{"destination": {"host": "far.else.svc.cluster.local"}}]}])
    scoped = sidecar(egress=egress("./reviews.shop.svc.cluster.local"))
    assert known(scoped, routed) == {"reviews", "far"}  # B13


def test_a_route_leads_to_a_service_of_its_clients_namespace_that_is_exported_elsewhere_only() -> None:
    hidden = service("hidden", "10.96.0.20")
    hidden["metadata"]["annotations"] = {"networking.istio.io/exportTo": "else"}
    far = service("distant", "10.96.0.21", namespace="else")
    far["metadata"]["annotations"] = {"networking.istio.io/exportTo": "."}
    ways = [{"route": [{"destination": {"host": host}}]} for host in ("hidden", "distant.else.svc.cluster.local")]
    assert known(hidden, far) == {"reviews", "ratings", "far"}
    assert known(hidden, far, virtual_service("v", ["reviews"], ways)) == {"reviews", "ratings", "far", "hidden"}  # B13
    scoped = sidecar(egress=egress("./reviews.shop.svc.cluster.local"))
    assert known(hidden, far, scoped, virtual_service("v", ["reviews"], ways)) == {"reviews", "hidden"}
    other_port = [{"route": [{"destination": {"host": "hidden", "port": {"number": 99}}}]}]
    assert known(hidden, far, virtual_service("v", ["reviews"], other_port)) == {"reviews", "ratings", "far"}


def test_a_host_that_is_not_listed_is_an_unknown_host() -> None:
    closed = sidecar(egress=egress("./reviews.shop.svc.cluster.local"), outboundTrafficPolicy={"mode": "REGISTRY_ONLY"})
    assert set(hosts(configuration(*ALL, closed))) == {"reviews.shop.svc.cluster.local:80", "block_all"}  # S6, S8, F7
    proxied = sidecar(
        outboundTrafficPolicy={"mode": "ALLOW_ANY", "egressProxy": {"host": "far.else.svc.cluster.local"}}
    )
    passing = hosts(configuration(*ALL, proxied))["allow_any"]["routes"][0]
    assert passing["route"]["cluster"] == "outbound|80||far.else.svc.cluster.local"  # S8


def test_an_egress_listener_speaks_for_its_port_alone() -> None:
    two = service("two", "10.96.0.20", [{"name": "http", "port": 80}, {"name": "http-b", "port": 81}])
    scoped = sidecar(
        egress=[
            {"port": {"number": 81, "protocol": "HTTP", "name": "http"}, "hosts": ["./two.shop.svc.cluster.local"]},
            {"hosts": ["./reviews.shop.svc.cluster.local"]},
        ]
    )
    config = configuration(*ALL, two, scoped)
    assert "two.shop.svc.cluster.local:80" not in hosts(config)
    assert "two.shop.svc.cluster.local:81" in hosts(config, "81")
    assert "reviews.shop.svc.cluster.local:80" in hosts(config)


def test_ingress_stands_for_the_services_ports_and_leads_where_it_says() -> None:
    scoped = sidecar(
        ingress=[
            {"port": {"number": 9080, "protocol": "HTTP", "name": "h"}, "defaultEndpoint": "127.0.0.1:8080"},
            {"port": {"number": 9081, "protocol": "TCP", "name": "t"}, "defaultEndpoint": "unix:///run/app.sock"},
            {"port": {"number": 9082, "protocol": "TCP", "name": "u"}, "defaultEndpoint": "0.0.0.0:7000"},
        ]
    )
    config = configuration(*ALL, endpoint_slice("reviews", [SERVER.address]), pod("r1", SERVER.address, {}), scoped)
    inbound = {name for name in clusters(config, SERVER) if name.startswith("inbound")}
    assert inbound == {"inbound|9080||", "inbound|9081||", "inbound|9082||"}  # S7

    def where(port: int) -> dict[str, Any]:
        found = cluster(config, f"inbound|{port}||", SERVER)["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]
        out: dict[str, Any] = found["endpoint"]["address"]
        return out

    assert where(9080)["socketAddress"] == {"address": "127.0.0.1", "portValue": 8080}
    assert where(9081)["pipe"] == {"path": "/run/app.sock"}
    assert where(9082)["socketAddress"] == {"address": SERVER.address, "portValue": 7000}
    chains = listener(config, "virtualInbound", SERVER)["filterChains"]
    assert {chain.get("filterChainMatch", {}).get("destinationPort", 0) for chain in chains} == {
        0,
        15006,
        9080,
        9081,
        9082,
    }


def test_the_inbound_pool_is_the_ports_then_the_sidecars_then_the_rules() -> None:
    def pool(number: int) -> dict[str, Any]:
        return {"tcp": {"maxConnections": number}}

    def limit(*objects: dict[str, Any], port: int = 8080) -> int:
        base = [REVIEWS, endpoint_slice("reviews", [SERVER.address]), pod("r1", SERVER.address, {})]
        config = configuration(
            *base, destination_rule("d", "reviews", trafficPolicy={"connectionPool": pool(1)}), *objects
        )
        found = cluster(config, f"inbound|{port}||", SERVER)["circuitBreakers"]["thresholds"][0]["maxConnections"]
        return int(found)

    assert limit() == 1  # D18
    assert limit(sidecar(inboundConnectionPool=pool(2))) == 2  # S9
    port = {"port": {"number": 9080, "protocol": "HTTP", "name": "h"}, "connectionPool": pool(3)}
    assert limit(sidecar(ingress=[port], inboundConnectionPool=pool(2)), port=9080) == 3
