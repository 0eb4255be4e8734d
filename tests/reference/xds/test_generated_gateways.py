"""B8, B9, F12, S11: Gateways as listeners and route configurations of an ingress Envoy."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from memory_kube import endpoint_slice, pod, resource, service, virtual_service
from mesh_of import configuration, index_of, listener, listeners

from mesh_reference.model.proxies import Proxy, UnknownNode, read_node
from mesh_reference.settings import Settings
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.resources import LISTENER, ROUTE

EDGE = Proxy(id="edge-1.ingress", namespace="ingress", address="10.244.0.50", labels={"istio": "edge"}, is_gateway=True)
REVIEWS = service("reviews", "10.96.0.7", [{"name": "http", "port": 9080}])
BASE = [
    REVIEWS,
    service("db", "10.96.0.9", [{"name": "tcp", "port": 5432}]),
    service("edge", "10.96.0.50", [{"name": "http", "port": 80}, {"name": "https", "port": 443}], "ingress"),
    {
        **endpoint_slice("edge", [EDGE.address], namespace="ingress"),
        "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
    },
    pod("edge-1", EDGE.address, {"istio": "edge"}, namespace="ingress"),
]
FILES = {"serverCertificate": "/etc/certs/tls.crt", "privateKey": "/etc/certs/tls.key"}


def gateway(*servers: dict[str, Any], name: str = "gw", selector: str = "edge", **metadata: Any) -> dict[str, Any]:
    return resource("Gateway", name, {"selector": {"istio": selector}, "servers": list(servers)}, **metadata)


def server(protocol: str = "HTTP", port: int = 80, hosts: tuple[str, ...] = ("*",), **tls: Any) -> dict[str, Any]:
    out = {"port": {"number": port, "name": f"{protocol.lower()}-{port}", "protocol": protocol}, "hosts": list(hosts)}
    return {**out, "tls": tls} if tls else out


def bound(
    name: str, host: str, path: str = "", gateways: tuple[str, ...] = ("gw",), to: str = "reviews"
) -> dict[str, Any]:
    block: dict[str, Any] = {"name": name, "route": [{"destination": {"host": to}}]}
    if path:
        block["match"] = [{"uri": {"prefix": path}}]
    return virtual_service(name, [host], [block], gateways=list(gateways))


def route(config: Configuration, name: str = "http.8080") -> dict[str, Any]:
    """Virtual hosts by their domain."""
    body = json_format.MessageToDict(config.named(ROUTE, EDGE, [name], splits=True)[name].body)
    return {host["domains"][0]: host for host in body["virtualHosts"]}


def test_a_port_listens_where_the_gateways_service_leads() -> None:
    config = configuration(*BASE, gateway(server()), bound("v", "a.example"))
    assert listeners(config, EDGE) == {"0.0.0.0_8080"}
    hcm = listener(config, "0.0.0.0_8080", EDGE)["filterChains"][0]["filters"][0]["typedConfig"]
    assert hcm["rds"]["routeConfigName"] == "http.8080"
    assert hcm["forwardClientCertDetails"] == "SANITIZE_SET"
    (only,) = route(config)["a.example"]["routes"]
    assert only["route"]["cluster"] == "outbound|9080||reviews.shop.svc.cluster.local"  # B14: its only port


def test_several_virtual_services_of_a_host_are_merged_and_what_takes_everything_comes_last() -> None:
    config = configuration(*BASE, gateway(server()), bound("all", "a.example"), bound("a", "a.example", "/a"))
    assert [item["name"] for item in route(config)["a.example"]["routes"]] == ["a", "all"]  # B8


def test_a_virtual_service_of_the_mesh_alone_does_not_touch_a_gateway_and_the_host_is_404() -> None:
    config = configuration(*BASE, gateway(server()), bound("v", "a.example", gateways=("mesh",)))
    (blackhole,) = route(config).values()
    assert (blackhole["domains"], "routes" in blackhole) == (["*"], False)  # F12, B1


@pytest.mark.parametrize(
    ("pattern", "host", "common"),
    [
        ("*", "a.example", ["a.example"]), ("*.example", "a.example", ["a.example"]), ("a.example", "*.example", ["a.example"]),
        ("b.example", "a.example", ["*"]), ("else/*", "a.example", ["*"]), ("./*", "a.example", ["a.example"]),
    ],
)  # fmt: skip
def test_hosts_are_those_that_server_and_virtual_service_have_in_common(
    pattern: str, host: str, common: list[str]
) -> None:
    config = configuration(*BASE, gateway(server(hosts=(pattern,))), bound("v", host))
    assert list(route(config)) == common  # B9


def test_https_redirect_answers_every_host_of_the_server() -> None:
    config = configuration(*BASE, gateway(server(hosts=("a.example",), httpsRedirect=True)), bound("v", "a.example"))
    assert route(config)["a.example"]["requireTls"] == "ALL"  # B9


def test_tls_ends_here_by_sni_with_the_gateways_files() -> None:
    config = configuration(
        *BASE, gateway(server("HTTPS", 443, ("a.example",), mode="MUTUAL", **FILES)), bound("v", "a.example")
    )
    (chain,) = listener(config, "0.0.0.0_8443", EDGE)["filterChains"]
    context = chain["transportSocket"]["typedConfig"]
    assert chain["filterChainMatch"] == {"serverNames": ["a.example"]}  # S11
    assert context["requireClientCertificate"] is True
    assert context["commonTlsContext"]["tlsCertificates"][0]["privateKey"]["filename"] == FILES["privateKey"]
    assert "a.example" in route(config, "https.443.https-443.gw.shop")


def test_passthrough_goes_by_the_sni_of_tls_routes_and_tcp_by_tcp_routes() -> None:
    tls = [{"match": [{"sniHosts": ["a.example"]}], "route": [{"destination": {"host": "db"}}]}]
    tcp = [{"match": [{"port": 31400}], "route": [{"destination": {"host": "db"}}]}]
    spec = {"hosts": ["a.example"], "gateways": ["gw"], "tls": tls, "tcp": tcp}
    config = configuration(
        *BASE,
        gateway(server("TLS", 443, mode="PASSTHROUGH"), server("TCP", 31400)),
        resource("VirtualService", "v", spec),
    )
    (passed,) = listener(config, "0.0.0.0_8443", EDGE)["filterChains"]
    assert passed["filterChainMatch"] == {"serverNames": ["a.example"]}
    assert passed["filters"][0]["typedConfig"]["cluster"] == "outbound|5432||db.shop.svc.cluster.local"
    (plain,) = listener(config, "0.0.0.0_31400", EDGE)["filterChains"]
    assert "filterChainMatch" not in plain or plain["filterChainMatch"] == {}


def test_the_oldest_gateway_keeps_a_port_and_a_name_that_two_want() -> None:
    first = gateway(server(), name="gw", creationTimestamp="2026-01-01T00:00:00Z")
    second = gateway(server("TCP", 80), name="late", creationTimestamp="2026-02-01T00:00:00Z")
    config = configuration(*BASE, first, second, bound("v", "a.example"))
    (chain,) = listener(config, "0.0.0.0_8080", EDGE)["filterChains"]
    assert "rds" in chain["filters"][0]["typedConfig"]  # S11


def test_a_gateway_for_other_pods_and_one_with_certificates_elsewhere_do_not_show() -> None:
    assert not configuration(*BASE, gateway(server(), selector="other")).all_of(LISTENER, EDGE)
    index = index_of(*BASE, gateway(server("HTTPS", 443, mode="SIMPLE", credentialName="cert")))
    (problems,) = index.problems.values()
    assert "credentialName is not supported" in problems[0].text


def test_a_server_between_networks_is_left_out_and_named() -> None:
    index = index_of(*BASE, gateway(server("TLS", 443, ("*.local",), mode="AUTO_PASSTHROUGH"), server()))
    (problem,) = index.problems["Gateway", "shop", "gw"]
    assert problem.served
    assert "spec.servers[0].tls.mode is not supported: the server is left out" in problem.text
    assert listeners(Configuration(index.snapshot(), Settings()), EDGE) == {"0.0.0.0_8080"}  # S11


def test_a_node_is_a_sidecar_or_a_router() -> None:
    assert read_node("router~1.2.3.4~a.b~b.svc.cluster.local", {}).is_gateway
    with pytest.raises(UnknownNode, match="ztunnel"):
        read_node("ztunnel~1.2.3.4~a.b~b.svc.cluster.local", {})
