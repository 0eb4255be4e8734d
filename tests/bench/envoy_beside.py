"""A real Envoy, from the API's answer to the first request on the new route: run as ``unshare -mn python envoy_beside.py PLANE SERVICES CHANGES DIR``.

PLANE is ``istiod`` or ``reference``. Other Services share the port with the one that changes. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "reference" / "xds"))

from beside.mesh_objects import CORE, ISTIO, NAMESPACE, Api, Mesh, host, meta
from beside.planes import PLAIN, Plane, api_server, control_plane, own_network
from envoy_scene import bootstrap, envoy_path, run

from mesh_reference.model.crds import definitions

VIP = "10.96.200.200"
NAME = "web"
START_SECONDS = 60.0
SETTINGS = (("PILOT_ENABLE_METADATA_EXCHANGE", "false"), ("PILOT_ENABLE_ALPN_FILTER", "false"))
"""Of istiod: Envoy as it is released has none of Istio's own filters."""


def network() -> None:
    own_network()
    run("ip route add 10.96.0.0/16 dev lo src 10.244.0.1")
    run("iptables -w -t nat -A OUTPUT -p tcp -d 10.96.0.0/16 -j REDIRECT --to-ports 15001")


def route(text: str) -> dict[str, Any]:
    return {"hosts": [host(NAME)], "http": [{"directResponse": {"status": 200, "body": {"string": text}}}]}


async def prepare(api: Api, mesh: Mesh) -> None:
    await mesh.create(definitions())
    config = {"metadata": {"name": "istio"}, "data": {"mesh": PLAIN}}
    await api.send("POST", "/api/v1/namespaces/istio-system/configmaps", config)
    off = {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default"},
        "spec": {"mtls": {"mode": "DISABLE"}},
    }  # fmt: skip
    await api.send("POST", "/apis/security.istio.io/v1/namespaces/istio-system/peerauthentications", off)
    spec = {"clusterIP": VIP, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    await api.send("POST", f"{CORE}/services", {"metadata": meta(NAME, {}), "spec": spec})
    await api.send("POST", f"{ISTIO}/virtualservices", {
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta(NAME, {}), "spec": route("start"),
    })  # fmt: skip


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(f"GET / HTTP/1.1\r\nhost: {host(NAME)}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower().decode()
    length = next((line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("content-length")), "0")
    return (await reader.readexactly(int(length))).decode()


async def connected(envoy: subprocess.Popen[bytes]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the first route answers."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(VIP, 80)
                if await ask(reader, writer) == "start":
                    return reader, writer
            assert envoy.poll() is None, "Envoy ended"
            await asyncio.sleep(0.02)


async def measure(plane: Plane, services: int, changes: int, folder: Path) -> dict[str, Any]:
    istio = Path(os.environ["MESH_ISTIO_BIN"]) if plane.name == "istiod" else None
    async with api_server(folder) as kubeconfig, Api(kubeconfig) as api:
        await prepare(api, Mesh(api, services))
        async with control_plane(plane, kubeconfig, folder, istio, f"{PLAIN}defaultProviders: {{}}\n") as running:
            config = bootstrap("DELTA_GRPC", int(running.address.rpartition(":")[2]))
            config["node"]["id"] = f"sidecar~10.70.0.1~envoy-0.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"
            config["node"]["metadata"] = {
                "NAMESPACE": NAMESPACE, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.32.0", "LABELS": {"app": "envoy"},
                "SERVICE_ACCOUNT": "default", "INTERCEPTION_MODE": "REDIRECT",
            }  # fmt: skip
            (folder / "envoy.json").write_text(json.dumps(config))
            with (folder / "envoy.log").open("wb") as log:
                argv = [envoy_path(), "-c", str(folder / "envoy.json"), "--disable-hot-restart", "--concurrency", "1"]
                envoy = subprocess.Popen(argv, stdout=log, stderr=log)  # noqa: ASYNC220  it starts in a millisecond
            try:
                started = time.monotonic()
                reader, writer = await connected(envoy)
                first = time.monotonic() - started
                latencies = []
                for number in range(changes):
                    await asyncio.sleep(random.uniform(0.25, 0.75))
                    await api.patch(f"{ISTIO}/virtualservices/{NAME}", {"spec": route(f"v{number}")})
                    answered = time.monotonic()
                    async with asyncio.timeout(START_SECONDS):
                        while await ask(reader, writer) != f"v{number}":  # noqa: ASYNC110  Envoy is asked
                            await asyncio.sleep(0.002)
                    latencies.append(1000 * (time.monotonic() - answered))
            finally:
                envoy.kill()
                envoy.wait()
    latencies.sort()
    return {
        "plane": plane.name,
        "services": services,
        "start s": first,
        "p50 ms": statistics.median(latencies),
        "worst ms": latencies[-1],
    }


if __name__ == "__main__":
    network()
    name, count, turns, directory = sys.argv[1:5]
    chosen = Plane(name=name, setting=SETTINGS if name == "istiod" else ())
    print(json.dumps(asyncio.run(measure(chosen, int(count), int(turns), Path(directory)))))  # noqa: T201
