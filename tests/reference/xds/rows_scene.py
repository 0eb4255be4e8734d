"""Rows of the feature table through a real Envoy: run as ``unshare -mn python rows_scene.py DIR``; prints {row: seen} as JSON.

For each row some resources are put, the probe is repeated until it shows what the table says or the budget is spent, and
the resources are taken away again.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import rows_by_name
from envoy_scene import CLIENT, SETTINGS, V1, V2, VIP, bootstrap, envoy_path, get, network
from memory_kube import MemoryKube, destination_rule, endpoint_slice, node, pod, resource, service, virtual_service
from rows_probes import (
    DB,
    DNS,
    STATIC,
    Json,
    Probe,
    body,
    code,
    hits,
    names_seen,
    overflow,
    prefix,
    routed,
    rule,
    serve_http,
    serve_tcp,
    sticky,
    tcp,
    to,
)  # fmt: skip

from mesh_reference.app import Istiod
from mesh_reference.xds import status

BUDGET_SECONDS = 12.0


def checks() -> dict[str, tuple[list[Json], Probe, Any]]:
    """Row: (resources, probe, what the table says)."""

    async def location() -> list[Any]:
        found = await get("/old/x")
        return [found[0], found[2].get("location")]

    async def headers() -> list[str]:
        found = await get("/", x_drop="1")
        return [found[1].rpartition(" ")[2], found[2].get("x-new", ""), found[2].get("x-out", "-")]

    async def seconds(path: str) -> list[Any]:
        started = time.monotonic()
        return [await code(path), round(time.monotonic() - started, 1)]

    async def preflight() -> list[Any]:
        reader, writer = await asyncio.open_connection(VIP, 80)
        lines = [
            "OPTIONS / HTTP/1.1",
            "host: reviews",
            "origin: http://a.example",
            "access-control-request-method: PUT",
        ]
        writer.write(("\r\n".join([*lines, "connection: close"]) + "\r\n\r\n").encode())
        async with asyncio.timeout(2):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.close()
        found = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
        return [found.get("access-control-allow-origin"), found.get("access-control-max-age")]

    async def ejected() -> list[str]:
        for _turn in range(10):
            await code("/sick")
        return await names_seen(12)

    async def whole_path() -> list[int]:
        return [await code(path) for path in ("/a", "/a/", "/ab", "/a?q=1")]

    on_v1 = [{"route": [to("v1")]}]
    return {
        "M2": ([rule(), routed({"match": [{"uri": {"exact": "/a"}}], "route": [to("v1")]})], whole_path, [200, 404, 404, 200]),
        "M3": ([rule(), routed(prefix("/foo"), {"directResponse": {"status": 418}})],
               lambda: asyncio.gather(code("/foobar"), code("/fo")), [200, 418]),
        "M5": ([rule(), routed({"match": [{"uri": {"exact": "/A"}, "ignoreUriCase": True}], "route": [to("v1")]})],
               lambda: asyncio.gather(code("/a"), code("/b")), [200, 404]),
        "M8": ([rule(), routed({"match": [{"withoutHeaders": {"x-no": {"exact": "1"}}}], "route": [to("v1")]})],
               lambda: asyncio.gather(code("/"), code("/", x_no="1"), code("/", x_no="2")), [200, 404, 200]),
        "M10": ([rule(), routed({"match": [{"queryParams": {"q": {"exact": "1"}}}], "route": [to("v1")]})],
                lambda: asyncio.gather(code("/?q=1"), code("/?q=2"), code("/")), [200, 404, 404]),
        "R1": ([rule(), routed(prefix("/old", rewrite={"uri": "/new"}))], lambda: body("/old/x"), "v1 /new/x reviews -"),
        "R2": ([rule(), routed({"route": [to("v1")], "rewrite": {"uriRegexRewrite": {"match": "^/(.)/(.)$", "rewrite": r"/\2/\1"}}})],
               lambda: body("/a/b"), "v1 /b/a reviews -"),
        "R3": ([rule(), routed({"route": [to("v1")], "rewrite": {"authority": "other.example"}})], body, "v1 / other.example -"),
        "R4": ([routed({"match": [{"uri": {"prefix": "/old"}}], "redirect": {"prefixRewrite": "/new", "authority": "else", "redirectCode": 307}})],
               location, [307, "http://else/new/x"]),
        "R6": ([routed({"directResponse": {"status": 418, "body": {"string": "tea"}}})],
               lambda: asyncio.gather(code(), body()), [418, "tea"]),
        "R7": ([rule(), routed({"route": [to("v1")], "mirror": {"host": "reviews", "subset": "v2"}})], lambda: hits("/copy", "v2"), 1),
        "R8": ([rule(), routed({"route": [to("v1")], "fault": {"delay": {"fixedDelay": "500ms", "percentage": {"value": 100}}}})],
               lambda: seconds("/"), [200, 0.5]),
        "R9": ([rule(), routed({"route": [to("v1")], "fault": {"abort": {"httpStatus": 555, "percentage": {"value": 100}}}})], code, 555),
        "R10": ([rule(), routed({"route": [to("v1")], "timeout": "300ms"})], lambda: seconds("/slow"), [504, 0.3]),
        "R12": ([rule(), routed({"route": [to("v1")], "retries": {"attempts": 2, "retryOn": "5xx"}})], lambda: hits("/fail"), 3),
        "R12 attempts 0": ([rule(), routed({"route": [to("v1")], "retries": {"attempts": 0}})], lambda: hits("/fail"), 1),
        "R13": ([rule(), routed({"route": [to("v1")], "retries": {"attempts": 1, "retryOn": "503"}})], lambda: hits("/fail"), 2),
        "R17": ([rule(), routed({"route": [to("v1")], "headers": {"request": {"set": {"x-in": "in"}}, "response": {"add": {"x-new": "n"}, "remove": ["x-out"]}}})],
                headers, ["in", "n", "-"]),
        "R18": ([rule(), routed({"route": [to("v1")], "corsPolicy": {"allowOrigins": [{"exact": "http://a.example"}], "allowMethods": ["PUT"], "maxAge": "60s"}})],
                preflight, ["http://a.example", "60"]),
        "R19": ([rule(), routed({"match": [{"uri": {"prefix": "/d"}}], "delegate": {"name": "leaf"}}),
                 virtual_service("leaf", [], [{"match": [{"uri": {"exact": "/d/x"}}], "directResponse": {"status": 418}}])],
                lambda: asyncio.gather(code("/d/x"), code("/d/y")), [418, 404]),
        "F3": ([destination_rule("d", "reviews", {"v9": {"version": "v9"}}), routed({"route": [to("v9")]})],
               lambda: asyncio.gather(code(), body()), [503, "no healthy upstream"]),
        "F7": ([resource("Sidecar", "s", {"egress": [{"hosts": ["./reviews.shop.svc.cluster.local"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})],
               lambda: asyncio.gather(code(), code(host="nobody.example")), [200, 502]),
        "F8": ([resource("Sidecar", "s", {"egress": [{"hosts": ["./reviews.shop.svc.cluster.local"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})],
               lambda: tcp(DB), "closed"),
        "S6": ([resource("Sidecar", "s", {"egress": [{"hosts": ["./db.shop.svc.cluster.local"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})],
               lambda: asyncio.gather(code(), names_seen(12, lambda: tcp(DB))), [0, ["t1", "t2"]]),
        "T5": ([destination_rule("b", "db", {"one": {"version": "v1"}, "two": {"version": "v2"}}),
                resource("VirtualService", "t", {"hosts": ["db"], "tcp": [{"route": [to("one", 50, "db"), to("two", 50, "db")]}]})],
               lambda: names_seen(30, lambda: tcp(DB)), ["t1", "t2"]),
        "T3": ([destination_rule("b", "db", {"one": {"version": "v1"}, "two": {"version": "v2"}}),
                resource("VirtualService", "t", {"hosts": ["db"], "tcp": [{"match": [{"port": 5432}], "route": [to("two", 0, "db")]}, {"route": [to("one", 0, "db")]}]})],
               lambda: names_seen(8, lambda: tcp(DB)), ["t2"]),
        "S1 static": ([resource("ServiceEntry", "e", {"hosts": ["api.example"], "addresses": [STATIC], "resolution": "STATIC",
                       "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}], "endpoints": [{"address": V2}]})],
                      lambda: body(host="api.example", address=STATIC), "v2 / api.example -"),
        "S1 dns": ([resource("ServiceEntry", "e", {"hosts": ["api.example"], "addresses": [DNS], "resolution": "DNS",
                    "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}], "endpoints": [{"address": "localhost"}]})],
                   lambda: body(host="api.example", address=DNS), "here / api.example -"),
        "S2": ([resource("ServiceEntry", "e", {"hosts": ["vm.example"], "addresses": [STATIC], "resolution": "STATIC", "location": "MESH_INTERNAL",
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}], "workloadSelector": {"labels": {"app": "vm"}}}),
                resource("WorkloadEntry", "w", {"address": V1, "labels": {"app": "vm"}})],
               lambda: body(host="vm.example", address=STATIC), "v1 / vm.example -"),
        "D3": ([rule(loadBalancer={"consistentHash": {"httpHeaderName": "x-user"}})], sticky, 1),
        "D6": ([rule(loadBalancer={"localityLbSetting": {"distribute": [{"from": "r1/*", "to": {"r2/*": 100}}]}})], names_seen, ["v2"]),
        "D7": ([rule(outlierDetection={"consecutive5xxErrors": 9})], names_seen, ["v1"]),
        "D8": ([rule(outlierDetection={"consecutive5xxErrors": 9}, loadBalancer={"localityLbSetting": {"enabled": False}})], names_seen, ["v1", "v2"]),
        "D10": ([rule(connectionPool={"http": {"http1MaxPendingRequests": 1}, "tcp": {"maxConnections": 1}}), routed(*on_v1)], overflow, True),
        "D12": ([rule(outlierDetection={"consecutive5xxErrors": 2, "interval": "50ms", "baseEjectionTime": "60s", "maxEjectionPercent": 100},
                      loadBalancer={"simple": "ROUND_ROBIN", "localityLbSetting": {"enabled": False}})], ejected, ["v2"]),
    }  # fmt: skip


async def play(kube: MemoryKube) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for row, (objects, probe, wanted) in (checks() | rows_by_name.checks()).items():
        for item in objects:
            kube.put(item)
        deadline = time.monotonic() + BUDGET_SECONDS
        while True:
            seen = await probe()
            seen = list(seen) if isinstance(seen, tuple) else seen
            if seen == wanted or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.02)
        facts[row] = [seen, wanted]
        for item in objects:
            kube.remove(item["kind"], item["metadata"]["name"], item["metadata"]["namespace"])
    return facts


def on(pod_object: Json, node_name: str) -> Json:
    pod_object["spec"]["nodeName"] = node_name
    return pod_object


async def main(directory: Path) -> None:
    network()
    for name, address in (("v1", V1), ("v2", V2), ("here", "127.0.0.1")):
        await asyncio.start_server(lambda r, w, name=name: serve_http(name, r, w), address, 8080)
    for name, address in (("t1", V1), ("t2", V2)):
        await asyncio.start_server(lambda r, w, name=name: serve_tcp(name, r, w), address, 9000)
    kube = MemoryKube(
        service("reviews", VIP),
        endpoint_slice("reviews", [V1, V2]),
        service("db", DB, [{"name": "tcp", "port": 5432}, {"name": "tls", "port": 443}]),
        *(
            {
                **endpoint_slice("db", [address]),
                "metadata": {"name": f"db-{number}", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
                "ports": [{"name": "tcp", "port": 9000}, {"name": "tls", "port": 9000}],
            }
            for number, address in enumerate((V1, V2))
        ),
        node("n1", "r1", "z1"),
        node("n2", "r2", "z2"),
        on(pod("reviews-v1", V1, {"app": "reviews", "version": "v1"}), "n1"),
        on(pod("reviews-v2", V2, {"app": "reviews", "version": "v2"}), "n2"),
        on(pod("tester-1", CLIENT, {"app": "tester"}, "tester"), "n1"),
        {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": "enableAutoMtls: false"}},
        # Nobody here serves secrets, and Envoy would wait for them.
        resource("PeerAuthentication", "off", {"mtls": {"mode": "DISABLE"}}, "istio-system"),
    )  # fmt: skip
    istiod, stop = Istiod(kube=kube, settings=SETTINGS), asyncio.Event()
    serving = asyncio.create_task(istiod.serve(stop))
    await istiod.ready.wait()
    config = directory / "envoy.json"
    config.write_text(json.dumps(bootstrap("DELTA_GRPC", istiod.ports.xds)))
    with (directory / "envoy.log").open("w") as log:
        envoy = subprocess.Popen(  # noqa: ASYNC220  it starts in a millisecond
            [envoy_path(), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        facts = await play(kube)
        assert istiod.hub is not None
        facts["rejections"] = [[entry["rejections"] for entry in status.syncz(istiod.hub)], [{}]]
        print(json.dumps(facts))  # noqa: T201
        stop.set()
        await serving
    finally:
        envoy.kill()
        envoy.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
