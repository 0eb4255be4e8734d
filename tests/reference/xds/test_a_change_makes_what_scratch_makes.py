"""The law of the incremental generators: after any changes the result is the one from scratch, and no difference is missed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_kube import BY_KIND, destination_rule, endpoint_slice, pod, resource, service, virtual_service
from mesh_of import CLIENT

from mesh_reference.kube.watching import Event
from mesh_reference.model.snapshot import Change
from mesh_reference.settings import Settings
from mesh_reference.store.index import MeshIndex
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, NAME_TABLE, ROUTE, VIRTUAL_HOST

Json = dict[str, Any]
NAMES = ("reviews", "ratings", "db")
PORTS = (
    [{"name": "http", "port": 80}],
    [{"name": "http", "port": 80}, {"name": "more", "port": 81, "appProtocol": "http"}],
    [{"name": "tcp", "port": 80}],
    [{"port": 90}],
)
SERVICES = st.builds(
    lambda name, ports, ip, namespace: service(name, ip, ports, namespace),
    st.sampled_from(NAMES), st.sampled_from(PORTS), st.sampled_from(["10.96.0.1", "10.96.0.2", "None"]),
    st.sampled_from(["shop", "else"]),
)  # fmt: skip
PODS = st.builds(
    lambda number, version, account: pod(f"p{number}", f"10.244.0.{number}", {"version": version}, account),
    st.integers(1, 4), st.sampled_from(["v1", "v2"]), st.sampled_from(["one", "two"]),
)  # fmt: skip
SLICES = st.builds(
    lambda name, numbers: endpoint_slice(name, [f"10.244.0.{number}" for number in sorted(numbers)]),
    st.sampled_from(NAMES), st.sets(st.integers(1, 4), max_size=4),
)  # fmt: skip
TARGETS = st.builds(
    lambda name, subset, weight: {"destination": {"host": name, **({"subset": subset} if subset else {})}, "weight": weight},
    st.sampled_from([*NAMES, "x.example"]), st.sampled_from(["", "v1", "v2"]), st.integers(1, 9),
)  # fmt: skip
BLOCKS = st.builds(
    lambda targets, match: {"route": targets, **match},
    st.lists(TARGETS, min_size=1, max_size=2),
    st.sampled_from([{}, {"match": [{"port": 81}]}, {"match": [{"sourceLabels": {"app": "x"}}]}, {"match": [{"uri": {"prefix": "/a"}}]}]),
)  # fmt: skip
ROUTED = st.builds(
    lambda name, hosts, blocks, spec: virtual_service(name, hosts, blocks, **spec),
    st.sampled_from(["a", "b", "c"]),
    st.lists(st.sampled_from([*NAMES, "*.shop.svc.cluster.local", "x.example", "reviews.else", "ratings.shop"]), min_size=1, max_size=2, unique=True),
    st.lists(BLOCKS, min_size=1, max_size=2),
    st.sampled_from([{}, {"exportTo": ["."]}, {"gateways": ["gw"]}]),
)  # fmt: skip
RULES = st.builds(
    lambda name, host, subsets, policy: destination_rule(name, host, subsets, **policy),
    st.sampled_from(["a", "b"]),
    st.sampled_from([*NAMES, "*.shop.svc.cluster.local"]),
    st.sampled_from([{}, {"v1": {"version": "v1"}}, {"v1": {"version": "v1"}, "v2": {"version": "v2"}}]),
    st.sampled_from(
        [{}, {"exportTo": ["."]}, {"trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "x"}}}}]
    ),
)
L4 = st.builds(
    lambda name, host, blocks: resource("VirtualService", name, {"hosts": [host], **blocks}),
    st.sampled_from(["a", "b"]),
    st.sampled_from([*NAMES, "*.shop.svc.cluster.local"]),
    st.sampled_from(
        [
            {"tcp": [{"route": [{"destination": {"host": "db"}}]}]},
            {
                "tcp": [
                    {
                        "match": [{"port": 80, "destinationSubnets": ["10.0.0.0/8"]}],
                        "route": [{"destination": {"host": "db"}}],
                    }
                ]
            },
            {"tls": [{"match": [{"sniHosts": ["db"]}], "route": [{"destination": {"host": "db", "subset": "v1"}}]}]},
        ]
    ),
)
DELEGATING = st.one_of(
    st.builds(
        lambda host, match: virtual_service("root", [host], [{**match, "delegate": {"name": "leaf"}}]),
        st.sampled_from(NAMES), st.sampled_from([{}, {"match": [{"uri": {"prefix": "/a"}}]}]),
    ),
    st.builds(lambda blocks: virtual_service("leaf", [], blocks), st.lists(BLOCKS, min_size=1, max_size=2)),
)  # fmt: skip
ENTRIES = st.builds(
    lambda name, host, ports, spec: resource("ServiceEntry", name, {"hosts": [host], "ports": ports, **spec}),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x.example", "reviews.shop.svc.cluster.local", "*.shop.svc.cluster.local"]),
    st.sampled_from(
        [[{"number": 80, "name": "http", "protocol": "HTTP"}], [{"number": 80, "name": "tls", "protocol": "TLS"}]]
    ),
    st.sampled_from(
        [
            {}, {"resolution": "STATIC", "endpoints": [{"address": "10.244.0.1"}], "addresses": ["10.0.0.0/24"]},
            {"resolution": "STATIC", "workloadSelector": {"labels": {"version": "v1"}}, "exportTo": ["."]},
            {"resolution": "STATIC", "endpoints": [{"address": "10.244.0.2"}]},
            {"resolution": "STATIC", "endpoints": [{"address": "10.244.0.2"}], "exportTo": ["else"]},
        ]
    ),
)  # fmt: skip
WORKLOADS = st.builds(
    lambda name, version: resource("WorkloadEntry", name, {"address": "10.244.0.3", "labels": {"version": version}}),
    st.sampled_from(["a", "b"]), st.sampled_from(["v1", "v2"]),
)  # fmt: skip
SIDECARS = st.builds(
    lambda name, spec: resource("Sidecar", name, spec),
    st.sampled_from(["a", "b"]),
    st.sampled_from(
        [
            {"egress": [{"hosts": ["./reviews.shop.svc.cluster.local", "*/x.example"]}]},
            {"workloadSelector": {"labels": {"app": "t"}}, "egress": [{"hosts": ["*/*"], "port": {"number": 80}}]},
            {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        ]
    ),
)
NEAR = st.builds(
    lambda name, policy: destination_rule(name, "reviews", trafficPolicy=policy),
    st.sampled_from(["a", "b"]),
    st.sampled_from(
        [
            {"outlierDetection": {"consecutive5xxErrors": 1}},
            {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "*", "to": {"r1/*": 100}}]}}},
        ]
    ),
)
OPERATIONS = st.lists(
    st.tuples(
        st.one_of(SERVICES, PODS, SLICES, ROUTED, RULES, L4, DELEGATING, ENTRIES, WORKLOADS, SIDECARS, NEAR),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=20,
)
CLIENTS = (
    CLIENT,
    replace(CLIENT, id="t.else", namespace="else", address="10.244.9.9", labels={}),
    replace(CLIENT, id="p1.shop", address="10.244.0.1", labels={}),
    replace(CLIENT, id="n.shop", address="10.244.9.8", answers_names=True),
)


def told(configuration: Configuration, routes: list[str]) -> dict[tuple[str, str, str], str]:
    """(client, type, name): version of everything that the clients may hold."""
    out: dict[tuple[str, str, str], str] = {}
    for client in CLIENTS:
        for type_url in (CLUSTER, LISTENER, NAME_TABLE):
            for made in configuration.all_of(type_url, client).values():
                out[client.id, type_url, made.name] = made.version
        clusters = [name for _client, type_url, name in out if type_url == CLUSTER and _client == client.id]
        for type_url, names in ((ENDPOINT, clusters), (ROUTE, routes)):
            for name, made in configuration.named(type_url, client, names).items():
                out[client.id, type_url, name] = made.version
        for name, made in configuration.view(client).virtual_hosts(routes).items():
            out[client.id, VIRTUAL_HOST, name] = made.version
    return out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OPERATIONS)
def test_the_incremental_result_is_the_one_from_scratch_and_every_difference_is_named(
    operations: list[tuple[Json, bool]],
) -> None:
    index = MeshIndex("cluster.local")
    routes = ["80", "81", "reviews.shop.svc.cluster.local:90"]
    configuration = Configuration(index.snapshot(), Settings())
    before, seen = told(configuration, routes), {client.id: configuration.view(client) for client in CLIENTS}
    for number, (obj, upsert) in enumerate(operations):
        metadata = {
            "creationTimestamp": f"2026-01-01T00:{number:02}:00Z",
            "uid": obj["metadata"]["name"],
            **obj["metadata"],
        }
        event = Event("upsert" if upsert else "delete", {**obj, "metadata": metadata})
        change = index.apply(BY_KIND[obj["kind"]], event)
        snapshot = index.snapshot()
        configuration = configuration.succeeded_by(
            snapshot, Settings(), change or Change(proxies=frozenset({"nobody"}))
        )
        after = told(configuration, routes)
        assert after == told(Configuration(snapshot, Settings()), routes), (obj, change)
        for client in CLIENTS:
            view = configuration.view(client)
            named = view.changed_since(seen[client.id].version)
            if named is not None and not change.full:
                own = {name for kind in (CLUSTER, LISTENER) for name in configuration.inbound(client).of(kind)}
                for one, type_url, name in before.keys() | after.keys():
                    key = (one, type_url, name)
                    # What a proxy has not asked for, or has no more cluster for, is no difference to it.
                    if (
                        one == client.id
                        and name not in own
                        and before.get(key) != after.get(key)
                        and "inbound" not in name.lower()
                    ):
                        ours = named.get(type_url, frozenset())
                        assert name in ours or (type_url == ENDPOINT and (key not in before or key not in after)), (
                            key,
                            change,
                        )
            seen[client.id] = view
        before = after
