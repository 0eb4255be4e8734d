"""The node's process: kubelet, controllers, DNS and the Services' rules, all as clients of the API server.

``python -m pytest_mesh.clusters.local.node --run-dir DIR [--go-fd N]``; with
``--go-fd`` it waits there for a line that says that the API server is ready. SIGTERM is a shutdown of the node: it ends the Pods first.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.node import spawner
from pytest_mesh.clusters.local.state import shutdown_seconds

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.node.kubelet import Kubelet
    from pytest_mesh.clusters.local.node.runtime import Runtime


def main() -> None:
    """Run until the API server or a vital part is gone."""
    parser = argparse.ArgumentParser(prog="node")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--go-fd", type=int)
    arguments = parser.parse_args()
    control = spawner.start()  # before the heavy imports, threads and descriptors
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # PID 1 decides about the end
    asyncio.run(_run(arguments.run_dir, control, arguments.go_fd))


async def _run(directory: Path, control: socket.socket, go_fd: int | None) -> None:
    from pytest_mesh.clusters.local import namespaces
    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.clusters.local.controllers import run as run_controllers
    from pytest_mesh.clusters.local.dns import run as run_dns
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.clusters.local.network import services
    from pytest_mesh.clusters.local.network.pods import NODE_ADDRESS, Addresses
    from pytest_mesh.clusters.local.node import node_object, server
    from pytest_mesh.clusters.local.node.kubelet import Kubelet
    from pytest_mesh.clusters.local.node.parts import NODE_NAME, Parts
    from pytest_mesh.clusters.local.node.probes import Prober
    from pytest_mesh.clusters.local.node.runtime import Runtime

    if go_fd is not None:
        await asyncio.get_running_loop().run_in_executor(None, os.read, go_fd, 16)
        os.close(go_fd)
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    tasks: list[asyncio.Task[None]] = []
    runtime = Runtime(control)
    config = directory / "node.kubeconfig"
    async with (
        ApiClient.from_kubeconfig(config, agent=f"kubelet/{node_object.KUBELET_VERSION}") as client,
        ApiClient.from_kubeconfig(
            config, agent=f"kube-controller-manager/{node_object.KUBELET_VERSION}"
        ) as controlling,
        Prober() as prober,
    ):
        parts = Parts(
            client=client,
            runtime=runtime,
            prober=prober,
            events=EventRecorder(client, NODE_NAME),
            addresses=Addresses(),
            directory=directory,
            scratch=directory / "node",
            capabilities=namespaces.bounded_capabilities(),
            allocatable=node_object.capacity(),
        )
        kubelet = Kubelet(parts)
        async with server.serving(kubelet, directory / "kubelet.sock"), asyncio.TaskGroup() as group:
            tasks.append(group.create_task(_end_with(runtime)))
            tasks.append(group.create_task(kubelet.run()))
            tasks.append(group.create_task(services.run(client)))
            tasks.append(group.create_task(run_dns(client, NODE_ADDRESS)))
            tasks.append(group.create_task(run_controllers(controlling)))
            await asked.wait()
            await _shut_down(kubelet, shutdown_seconds(directory))
            for task in tasks:
                task.cancel()


async def _shut_down(kubelet: Kubelet, grace: float) -> None:
    """End the Pods within ``grace`` seconds; those that take longer end with the node."""
    try:
        async with asyncio.timeout(grace + 2.0):
            await kubelet.shut_down(grace)
    except TimeoutError:
        logging.getLogger(__name__).warning("not every pod has ended within %.0f s", grace)


async def _end_with(runtime: Runtime) -> None:
    await runtime.lost
    raise RuntimeError("the spawner is gone: no container can be started or watched any more")


if __name__ == "__main__":
    main()
