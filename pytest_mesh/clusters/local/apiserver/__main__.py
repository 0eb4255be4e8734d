"""The API server's process: makes its certificates, listens on the host's loopback and on the node, says ready.

``python -m pytest_mesh.clusters.local.apiserver --run-dir DIR --listen-fd N --node-address A --port P [--ready-fd M]``
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
from pathlib import Path

from pytest_mesh.clusters.local import bare_aiohttp  # noqa: F401 - must come before aiohttp itself
from pytest_mesh.clusters.local.apiserver import builtins, control, first_objects, front, kubeconfigs, pki
from pytest_mesh.clusters.local.apiserver.admission import Admission
from pytest_mesh.clusters.local.apiserver.authentication import Authenticator
from pytest_mesh.clusters.local.apiserver.registry import Registry
from pytest_mesh.clusters.local.apiserver.rights import Authorizer
from pytest_mesh.clusters.local.apiserver.server import Server
from pytest_mesh.clusters.local.apiserver.store import Store

SHUTDOWN_SECONDS = 1.0


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="apiserver")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--node-address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-fd", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # PID 1 decides about the end
    gc.disable()  # until all is there that lives as long as the process
    asyncio.run(_serve(arguments))


def _assemble(arguments: argparse.Namespace) -> Server:
    store, registry = Store(), Registry(builtins.resources())
    return Server(
        run_dir=arguments.run_dir,
        node_address=arguments.node_address,
        store=store,
        registry=registry,
        authenticator=Authenticator(store),
        admission=Admission(store, registry),
        authorizer=Authorizer(store),
    )


async def _serve(arguments: argparse.Namespace) -> None:
    directory: Path = arguments.run_dir
    server = _assemble(arguments)
    context = pki.serving_context(directory, arguments.node_address)
    runner = front.runner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await first_objects.create(server, port=arguments.port)
    host = socket.socket(fileno=arguments.listen_fd)
    token, root = server.authenticator.admin_token, (directory / "ca.crt").read_bytes()
    for name, url in (
        ("kubeconfig", f"https://127.0.0.1:{host.getsockname()[1]}"),
        ("node.kubeconfig", f"https://{arguments.node_address}:{arguments.port}"),
    ):
        kubeconfigs.write(directory / name, server=url, ca_pem=root, token=token)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    try:
        await front.listen(runner, host, (arguments.node_address, arguments.port), context)
        async with control.serving(server):
            # The schemas live as long as the process: the collector need not walk them again and again.
            gc.freeze()
            gc.enable()
            if arguments.ready_fd is not None:
                os.write(arguments.ready_fd, b"ready\n")
                os.close(arguments.ready_fd)
            await stopping.wait()
    finally:
        server.store.stop()
        await runner.cleanup()


if __name__ == "__main__":
    main()
