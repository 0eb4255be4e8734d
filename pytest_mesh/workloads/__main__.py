"""Runs a workload: ``python -m pytest_mesh.workloads [PORT ...]``.

Echo on the ports of the command line, else of MESH_PORTS, else 8080; the control
port beside them. A port speaks HTTP/1.1, HTTP/2 in clear text, gRPC and WebSockets as
its caller does; ``tcp:9000`` and ``tls:9443`` carry lines (TLS: by the certificate and key
of MESH_TLS_PEM). Ends on SIGTERM when the answers that it owes are out.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

from pytest_mesh.contracts import CONTROL_PORT
from pytest_mesh.workloads.http1 import Message
from pytest_mesh.workloads.server import EchoApplication, Handler, Identity, Reply, ServerProtocol

if TYPE_CHECKING:
    from pytest_mesh.workloads.soaks import Soaks

DRAIN_SECONDS = 2.0
"""How long SIGTERM waits for answers that are owed."""
_BACKLOG = 4096


async def _batch(body: bytes) -> Reply:
    # Imported on the first Batch: a workload that only echoes starts without it.
    from pytest_mesh.workloads.batches import BatchError, parse_batch, run_batch

    try:
        answer = await run_batch(parse_batch(json.loads(body)))
    except (BatchError, ValueError) as error:
        return Reply(status=400, body=json.dumps({"error": str(error)}).encode())
    return Reply(body=json.dumps(answer, separators=(",", ":")).encode())


@functools.cache
def _soaks() -> Soaks:
    from pytest_mesh.workloads.soaks import Soaks

    return Soaks()


async def _soak(name: str, body: bytes) -> Reply:
    from pytest_mesh.workloads.soaks import SoakError

    try:
        data = json.loads(body)
        answer = await _soaks().look(name, data) if name else _soaks().start(data)
    except (SoakError, ValueError) as error:
        return Reply(status=400, body=json.dumps({"error": str(error)}).encode())
    return Reply(body=json.dumps(answer, separators=(",", ":")).encode())


async def _probe(body: bytes) -> Reply:
    from pytest_mesh.workloads.tls_probe import ProbeError, parse_probe, probe

    try:
        arguments = parse_probe(json.loads(body))
    except (ProbeError, ValueError) as error:
        return Reply(status=400, body=json.dumps({"error": str(error)}).encode())
    # The probe blocks on its socket; the echo must answer meanwhile.
    answer = await asyncio.to_thread(probe, **arguments)
    return Reply(body=json.dumps(answer).encode())


async def _secrets(body: bytes) -> Reply:
    from pytest_mesh.workloads.secrets_client import SecretsError, parse_secrets, secrets

    try:
        arguments = parse_secrets(json.loads(body))
    except (SecretsError, ValueError) as error:
        return Reply(status=400, body=json.dumps({"error": str(error)}).encode())
    answer = await asyncio.to_thread(secrets, **arguments)
    return Reply(body=json.dumps(answer).encode())


def control(message: Message, address: tuple[str, int]) -> Reply | Awaitable[Reply]:
    """Answer on the control port: POST /v1/batch, /v1/probe, /v1/secrets, /v1/soak and /v1/soak/ID, GET /healthz."""
    del address
    method, path, _ = message.start.split(" ")
    path = path.partition("?")[0].rstrip("/")
    if path == "/healthz":
        return Reply(body=b'{"ok":true}')
    if path == "/v1/batch" and method == "POST":
        return _batch(message.body)
    if path == "/v1/probe" and method == "POST":
        return _probe(message.body)
    if path == "/v1/secrets" and method == "POST":
        return _secrets(message.body)
    if (path == "/v1/soak" or path.startswith("/v1/soak/")) and method == "POST":
        return _soak(path.removeprefix("/v1/soak").strip("/"), message.body)
    here = "POST /v1/batch, POST /v1/probe, POST /v1/secrets, POST /v1/soak[/ID], GET /healthz"
    return Reply(status=404, body=json.dumps({"error": f"{method} {path}: not here; {here}"}).encode())


def port_of(text: str) -> tuple[str, int]:
    """Read ``8080``, ``tcp:9000`` or ``tls:9443``: what a port speaks, and its number."""
    kind, colon, number = text.rpartition(":")
    if kind not in {"", "tcp", "tls"} or (colon and not kind) or not number.isdecimal():
        raise SystemExit(f"workload: port {text!r}: want NUMBER, tcp:NUMBER or tls:NUMBER")
    return kind or "http", int(number)


async def serve(ports: list[tuple[str, int]], control_port: int, identity: Identity, *, pem: str = "") -> None:
    """Listen on every port until SIGTERM or SIGINT. ``pem``: certificate and key for ports that speak TLS."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connections: set[ServerProtocol] = set()
    echo = EchoApplication(identity)
    applications: list[tuple[int, Handler]] = [(port, echo) for kind, port in ports if kind == "http"]
    applications.append((control_port, control))
    servers = [
        await loop.create_server(partial(ServerProtocol, handler, connections), None, port, backlog=_BACKLOG)
        for port, handler in applications
    ]
    if carried := [(kind, port) for kind, port in ports if kind != "http"]:
        from pytest_mesh.workloads.lines import LineServer, server_context

        servers += [
            await loop.create_server(
                partial(LineServer, echo),
                None,
                port,
                backlog=_BACKLOG,
                ssl=server_context(pem) if kind == "tls" else None,
            )
            for kind, port in carried
        ]
    opened = ", ".join(str(sock.getsockname()[1]) for server in servers for sock in server.sockets[:1])
    sys.stdout.write(f"workload: version {identity.version or '-'}, ports {opened}\n")
    sys.stdout.flush()
    await stop.wait()
    for server in servers:
        server.close()
    deadline = loop.time() + DRAIN_SECONDS
    # Nothing announces that a connection fell idle, so this one looks.
    while [one for one in list(connections) if not one.close_if_idle()] and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def main() -> int:
    """Run a workload from the command line and the environment."""
    texts = sys.argv[1:] or os.environ.get("MESH_PORTS", "8080").split(",")
    control_port = int(os.environ.get("MESH_CONTROL_PORT", CONTROL_PORT))
    identity = Identity.from_environment(os.environ)
    asyncio.run(
        serve([port_of(text) for text in texts], control_port, identity, pem=os.environ.get("MESH_TLS_PEM", ""))
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
