"""The name table of an agent that answers names, and the addresses that ServiceEntries without any get for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from memory_kube import endpoint_slice, resource, service
from mesh_of import CLIENT, configuration, hosts, index_of, listener, listeners

from mesh_reference.model.proxies import read_node
from mesh_reference.name_table import NameTable
from mesh_reference.store.addresses import NETWORK, AddressPool
from mesh_reference.xds.resources import NAME_TABLE

ASKING = replace(CLIENT, answers_names=True)
TCP = [{"number": 9000, "name": "tcp", "protocol": "TCP"}]
HTTP = [{"number": 80, "name": "http", "protocol": "HTTP"}]


def entry(name: str, host: str, ports: list[dict[str, Any]], labels: dict[str, str] | None = None, **spec: Any) -> Any:
    made = resource("ServiceEntry", name, {"hosts": [host], "ports": ports, **spec})
    made["metadata"]["labels"] = labels or {}
    return made


def table(*objects: Any, proxy: Any = ASKING) -> dict[str, Any]:
    """Host name: what the proxy's agent is told of it."""
    made = configuration(*objects).all_of(NAME_TABLE, proxy)[""]
    return json_format.MessageToDict(NameTable.FromString(made.value)).get("table", {})


def test_a_service_is_told_with_its_address_and_what_its_short_forms_are_made_of():
    assert table(service("reviews", "10.96.0.1")) == {
        "reviews.shop.svc.cluster.local": {
            "ips": ["10.96.0.1"],
            "registry": "Kubernetes",
            "shortname": "reviews",
            "namespace": "shop",
        }
    }


def test_a_headless_service_is_told_with_its_ready_endpoints_and_each_named_pod_by_itself():
    slices = endpoint_slice("db", ["10.244.0.1", "10.244.0.2", "10.244.0.3"])
    slices["endpoints"][0]["hostname"] = "db-0"
    slices["endpoints"][1]["hostname"] = "db-1"
    slices["endpoints"][2] |= {"hostname": "db-2", "conditions": {"ready": False}}
    told = table(service("db", "None", [{"name": "tcp", "port": 5432}]), slices)
    assert told["db.shop.svc.cluster.local"]["ips"] == ["10.244.0.1", "10.244.0.2"]
    assert told["db-1.db.shop.svc.cluster.local"] == {
        "ips": ["10.244.0.2"],
        "registry": "Kubernetes",
        "shortname": "db-1.db",
        "namespace": "shop",
    }
    assert "db-2.db.shop.svc.cluster.local" not in told


def test_a_serviceentrys_own_addresses_are_told_without_its_subnets():
    given = entry("a", "x.example", TCP, resolution="STATIC", addresses=["10.9.0.1", "10.8.0.0/16"])
    assert table(given) == {"x.example": {"ips": ["10.9.0.1"], "registry": "External"}}


def test_a_serviceentry_without_an_address_gets_one_of_its_own_and_listens_there():
    objects = [entry(name, f"{name}.example", TCP, resolution="DNS") for name in ("a", "b")]
    told = table(*objects)
    found = {host: info["ips"][0] for host, info in told.items()}
    assert set(found) == {"a.example", "b.example"}
    assert len(set(found.values())) == 2
    assert all(address.startswith("240.240.") for address in found.values())
    config = configuration(*objects)
    assert {f"{address}_9000" for address in found.values()} <= listeners(config, ASKING)
    [chain] = listener(config, f"{found['b.example']}_9000", ASKING)["filterChains"]
    assert chain["filters"][-1]["typedConfig"]["cluster"] == "outbound|9000||b.example"


def test_a_found_address_is_a_domain_of_the_virtual_host():
    objects = [entry("a", "x.example", HTTP, resolution="DNS")]
    [address] = table(*objects)["x.example"]["ips"]
    assert address in hosts(configuration(*objects), proxy=ASKING)["x.example:80"]["domains"]


def test_a_proxy_whose_agent_answers_no_names_sees_nothing_of_found_addresses():
    objects = [entry("a", "x.example", TCP, resolution="DNS")]
    assert "0.0.0.0_9000" in listeners(configuration(*objects), CLIENT)
    assert not any("240.240" in name for name in listeners(configuration(*objects), CLIENT))


@pytest.mark.parametrize(
    "given",
    [
        entry("a", "x.example", TCP, resolution="NONE"),
        entry("a", "*.example", TCP, resolution="STATIC", endpoints=[{"address": "10.0.0.1"}]),
        entry("a", "x.example", TCP, {"networking.istio.io/enable-autoallocate-ip": "false"}, resolution="DNS"),
    ],
    ids=["resolution NONE", "a wildcard", "the label says no"],
)
def test_no_address_is_found_for(given):
    assert table(given) == {}


def test_kubernetes_own_service_keeps_its_address_beside_a_serviceentry_of_its_name():
    told = table(service("reviews", "10.96.0.1"), entry("a", "reviews.shop.svc.cluster.local", HTTP, resolution="DNS"))
    assert told["reviews.shop.svc.cluster.local"]["ips"] == ["10.96.0.1"]


def test_a_services_namespaces_decide_who_is_told():
    private = entry("a", "x.example", TCP, resolution="DNS", exportTo=["."])
    assert "x.example" in table(private)
    elsewhere = replace(ASKING, namespace="else", id="t.else", address="10.244.9.9")
    assert table(private, proxy=elsewhere) == {}


def test_every_control_plane_finds_the_same_address_whatever_came_first():
    objects = [entry(f"e{number}", f"h{number}.example", TCP, resolution="DNS") for number in range(20)]
    one, other = index_of(*objects).snapshot(), index_of(*reversed(objects)).snapshot()
    assert {host: item.allocated for host, item in one.services.items()} == {
        host: item.allocated for host, item in other.services.items()
    }


def test_addresses_are_never_shared_and_are_free_again_when_given_back():
    pool = AddressPool(size=50)
    found = {f"h{number}": pool.take(f"h{number}") for number in range(50)}
    assert len(set(found.values())) == 50
    assert pool.take("h7") == found["h7"]
    assert pool.take("one more") == ""
    pool.give_back("h7")
    assert pool.take("one more") == found["h7"]
    assert str(NETWORK.network_address) not in found.values()


@pytest.mark.parametrize(("kind", "word", "answers"), [("sidecar", "true", True), ("sidecar", "false", False), ("router", "true", False)])  # fmt: skip
def test_a_sidecars_metadata_says_whether_its_agent_answers_names(kind, word, answers):
    assert read_node(f"{kind}~10.0.0.1~p.n~n.svc.cluster.local", {"DNS_CAPTURE": word}).answers_names is answers
