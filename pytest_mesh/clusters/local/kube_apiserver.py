"""A real kube-apiserver and its etcd in the embedded API server's place, started inside the node's namespaces.

There it reaches pods and webhooks; the host reaches it through the inherited
loopback socket, whose connections are carried to it. It needs the two programs
(a folder such as KUBEBUILDER_ASSETS names) and starts nothing else of
Kubernetes. The kubelet's own API is not served to it: logs, exec and
port-forward answer that the node cannot be reached.

``python -m pytest_mesh.clusters.local.kube_apiserver --assets DIR ...`` and the embedded API server's arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import ssl
from pathlib import Path
from typing import Final

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_mesh.clusters.local import namespaces
from pytest_mesh.clusters.local.apiserver import kubeconfigs, pki

log = logging.getLogger(__name__)

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
_ETCD: Final = "http://127.0.0.1:2379"
_PEERS: Final = "http://127.0.0.1:2380"
_READY_SECONDS: Final = 90.0
_CHUNK: Final = 65536


def main() -> None:
    """Serve until one of the programs ends, or SIGTERM."""
    parser = argparse.ArgumentParser(prog="kube_apiserver")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--node-address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # PID 1 decides about the end
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    directory: Path = arguments.run_dir
    pki.serving_context(directory, arguments.node_address)
    token = secrets.token_urlsafe(32)
    pki.write_private(directory / "tokens.csv", f"{token},kubernetes-admin,,system:masters\n".encode())
    pki.write_private(directory / "accounts.key", _account_key())
    etcd, server = _commands(directory, arguments.assets, arguments.node_address, arguments.port)
    url = f"https://{arguments.node_address}:{arguments.port}"
    host = socket.socket(fileno=arguments.listen_fd)
    host.setblocking(False)
    async with asyncio.TaskGroup() as group:
        for command in (etcd, server):
            group.create_task(_run(directory, command))
        await _until_ready(url, directory / "ca.crt", token)
        root = (directory / "ca.crt").read_bytes()
        for name, address in (("kubeconfig", f"https://127.0.0.1:{host.getsockname()[1]}"), ("node.kubeconfig", url)):
            kubeconfigs.write(directory / name, server=address, ca_pem=root, token=token)
        os.write(arguments.ready_fd, b"ready\n")
        os.close(arguments.ready_fd)
        relay = await asyncio.start_server(
            lambda reader, writer: _carry(reader, writer, arguments.node_address, arguments.port), sock=host
        )
        await relay.serve_forever()


def _commands(directory: Path, assets: Path, address: str, port: int) -> tuple[list[str], list[str]]:
    etcd = [str(assets / "etcd"), "--data-dir", str(directory / "node" / "etcd"), "--unsafe-no-fsync"]
    etcd += ["--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD, "--listen-peer-urls", _PEERS]
    etcd += ["--initial-advertise-peer-urls", _PEERS, "--initial-cluster", f"default={_PEERS}"]
    server = [str(assets / "kube-apiserver"), f"--etcd-servers={_ETCD}", f"--secure-port={port}"]
    server += [f"--bind-address={address}", f"--advertise-address={address}", "--authorization-mode=RBAC"]
    server += [
        f"--tls-cert-file={directory / 'apiserver.crt'}",
        f"--tls-private-key-file={directory / 'apiserver.key'}",
    ]
    server += [f"--token-auth-file={directory / 'tokens.csv'}", f"--service-account-issuer={ISSUER}"]
    key = directory / "accounts.key"
    server += [f"--service-account-signing-key-file={key}", f"--service-account-key-file={key}"]
    server += ["--service-cluster-ip-range=10.96.0.0/16", "--anonymous-auth=false", "--allow-privileged=true"]
    server += ["--enable-priority-and-fairness=false", "--kubelet-preferred-address-types=InternalIP"]
    return etcd, server


async def _run(directory: Path, command: list[str]) -> None:
    """Run one of the programs; RuntimeError when it ends."""
    name = Path(command[0]).name
    with (directory / "logs" / f"{name}.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_die_with_us
        )
    code = await process.wait()
    raise RuntimeError(f"{name} ended with code {code}: see logs/{name}.log")


def _die_with_us() -> None:
    namespaces.die_with_parent(signal.SIGKILL)


async def _until_ready(url: str, root: Path, token: str) -> None:
    context = ssl.create_default_context(cafile=str(root))
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, trust_env=False) as session:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while True:
                    with contextlib.suppress(aiohttp.ClientError):
                        async with session.get(f"{url}/readyz", ssl=context) as answer:
                            if answer.status == 200:
                                return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            why = f"kube-apiserver is not ready after {_READY_SECONDS:.0f} s: see logs/kube-apiserver.log"
            raise RuntimeError(why) from None


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int) -> None:
    """Carry one connection of the host's to the server."""
    try:
        there, back = await asyncio.open_connection(address, port)
    except OSError as error:
        log.warning("a connection was not carried to %s:%d: %s", address, port, error)
        writer.close()
        return
    ways = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))]
    try:
        await asyncio.wait(ways)
    finally:
        for way in ways:
            way.cancel()
        for end in (writer, back):
            end.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
        else:
            target.close()


def _account_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


if __name__ == "__main__":
    main()
