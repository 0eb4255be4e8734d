"""The control plane and an ingress Envoy: run as ``unshare -mn python gateway_scene.py DIR``; prints what was seen as JSON."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from envoy_scene import SETTINGS, V1, V2, answer, bootstrap, envoy_path, network, until
from memory_kube import MemoryKube, endpoint_slice, pod, resource, service, virtual_service

from mesh_reference.app import Istiod
from mesh_reference.xds import status

EDGE = "10.244.0.20"
PEM = ("certificate.pem", "key.pem")


async def ask(port: int, host: str, path: str = "/", tls: ssl.SSLContext | None = None) -> tuple[int, str, str]:
    """(status, body, location); status 0 = no answer."""
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(EDGE, port, ssl=tls, server_hostname=host if tls else None)
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            text = (await reader.readuntil(b"\r\n\r\n")).decode()
            head = dict(line.split(": ", 1) for line in text.strip().split("\r\n")[1:])
            body = (await reader.readexactly(int(head.get("content-length", "0")))).decode()
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return 0, "", ""
    return int(text.split()[1]), body, head.get("location", "")


def objects(directory: Path) -> list[dict[str, Any]]:
    files = dict(zip(("serverCertificate", "privateKey"), (str(directory / name) for name in PEM), strict=True))
    http = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    https = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["secure.example"],
        "tls": {"mode": "SIMPLE", **files},
    }
    moved = {
        "port": {"number": 81, "name": "http-moved", "protocol": "HTTP"},
        "hosts": ["secure.example"],
        "tls": {"httpsRedirect": True},
    }
    tcp = {"port": {"number": 31400, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]}
    to_one = [{"route": [{"destination": {"host": "one"}}]}]
    return [
        service("one", "10.96.0.7"),
        endpoint_slice("one", [V1]),
        service("two", "10.96.0.8"),
        endpoint_slice("two", [V2]),
        service("edge", "10.96.0.9", [{"name": "http", "port": 80}]),
        endpoint_slice("edge", [EDGE], 8081),
        pod("tester-1", EDGE, {"istio": "edge"}, "tester"),
        resource("Gateway", "gw", {"selector": {"istio": "edge"}, "servers": [http, https, moved, tcp]}),
        virtual_service("a", ["one.example"], [{"match": [{"uri": {"prefix": "/x"}}], **to_one[0]}], gateways=["gw"]),
        virtual_service(
            "b", ["one.example"], [{"route": [{"destination": {"host": "two"}}]}], gateways=["gw"]
        ),
        virtual_service("c", ["secure.example"], to_one, gateways=["gw"]),
        resource(
            "VirtualService", "d",
            {"hosts": ["*"], "gateways": ["gw"], "tcp": [{"match": [{"port": 31400}], "route": [{"destination": {"host": "two"}}]}]},
        ),
        {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": "enableAutoMtls: false"}},
    ]  # fmt: skip


async def play(istiod: Istiod, kube: MemoryKube, certificate: Path) -> dict[str, Any]:
    async def answers() -> bool:
        return (await ask(8081, "one.example"))[0] == 200

    await until("the first answer", answers)
    trust = ssl.create_default_context(cafile=str(certificate))
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    facts: dict[str, Any] = {
        "merged": [(await ask(8081, "one.example", path))[1] for path in ("/x", "/y")],
        "unknown host": (await ask(8081, "nobody.example"))[0],
        "https": (await ask(443, "secure.example", "/", trust))[:2],
        "redirect": (await ask(81, "secure.example", "/p"))[::2],
        "tcp": (await ask(31400, "any"))[:2],
    }
    kube.remove("VirtualService", "b", "shop")

    async def gone() -> bool:
        return (await ask(8081, "one.example", "/y"))[0] == 404

    await until("the removal", gone)
    assert istiod.hub is not None
    facts["status"] = [(entry["proxy_type"], entry["rejections"]) for entry in status.syncz(istiod.hub)]
    return facts


async def main(directory: Path) -> None:
    network()
    subject = ["-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example"]
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run(  # noqa: ASYNC221  nothing else runs yet
        [*argv, "-out", str(directory / PEM[0]), "-keyout", str(directory / PEM[1])], check=True, capture_output=True
    )
    for name, address in (("v1", V1), ("v2", V2)):
        await asyncio.start_server(lambda r, w, name=name: answer(name, r, w), address, 8080)
    kube = MemoryKube(*objects(directory))
    istiod, stop = Istiod(kube=kube, settings=SETTINGS), asyncio.Event()
    serving = asyncio.create_task(istiod.serve(stop))
    await istiod.ready.wait()
    config = bootstrap("DELTA_GRPC", istiod.ports.xds)
    config["node"]["id"] = config["node"]["id"].replace("sidecar~", "router~")
    (directory / "envoy.json").write_text(json.dumps(config))
    with (directory / "envoy.log").open("w") as log:
        envoy = subprocess.Popen(  # noqa: ASYNC220  it starts in a millisecond
            [envoy_path(), "-c", str(directory / "envoy.json"), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        print(json.dumps(await play(istiod, kube, directory / PEM[0])))  # noqa: T201
        stop.set()
        await serving
    finally:
        envoy.kill()
        envoy.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
