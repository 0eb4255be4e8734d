"""The embedded API server's figures on its own, over TLS: ready, creates on one connection, one watcher's latency, writes beside 10,000 objects.

Beside a real kube-apiserver in the same run where MESH_KUBE_APISERVER and MESH_ETCD name the two programs.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "local/differential"))

from real_server import free_port, kube_apiserver

CREATES, EVENTS, OBJECTS, WRITES = 3000, 300, 10_000, 1000
MAPS = "/api/v1/namespaces/default/configmaps"


def own_address() -> str:
    """Give an address of this machine that is no loopback: endpoints on loopback are refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Run the server's program; gives (URL, token, seconds until it was ready)."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        read, write = os.pipe()
        argv = [sys.executable, "-m", "pytest_mesh.clusters.local.apiserver", "--run-dir", str(folder)]
        argv += [
            "--listen-fd",
            str(listening.fileno()),
            "--node-address",
            own_address(),
            "--port",
            str(free_port()),
            "--ready-fd",
            str(write),
        ]
        begun = time.monotonic()
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(argv, pass_fds=(listening.fileno(), write), stderr=log) as process,
        ):
            os.close(write)
            try:
                assert os.read(read, 16) == b"ready\n", (folder / "log").read_text()
                ready = time.monotonic() - begun
                config = yaml.safe_load((folder / "kubeconfig").read_text())
                url = f"https://127.0.0.1:{listening.getsockname()[1]}"
                yield url, config["users"][0]["user"]["token"], ready
            finally:
                process.terminate()
                process.wait(20)
                os.close(read)


class Client:
    """One connection over TLS."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        context = ssl._create_unverified_context()
        self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=context)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: object = None) -> int:
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def watch(self, path: str) -> http.client.HTTPResponse:
        """Follow what happens from here on."""
        self._connection.request("GET", f"{path}?limit=1", None, self._headers)
        version = json.loads(self._connection.getresponse().read())["metadata"]["resourceVersion"]
        self._connection.request("GET", f"{path}?watch=true&resourceVersion={version}", None, self._headers)
        return self._connection.getresponse()


def creates(url: str, token: str) -> float:
    with Client(url, token) as client:
        begun = time.monotonic()
        for index in range(CREATES):
            assert client.send("POST", MAPS, {"metadata": {"name": f"c{index}"}, "data": {"a": "b"}}) == 201
        return CREATES / (time.monotonic() - begun)


def latency(url: str, token: str) -> tuple[float, float]:
    """Give p50 and p99, in milliseconds, from sending a create to reading its event."""
    path = "/api/v1/namespaces/default/secrets"
    seen: dict[str, float] = {}
    arrived = threading.Semaphore(0)
    sent: dict[str, float] = {}
    with Client(url, token) as watching, Client(url, token) as client, watching.watch(path) as stream:

        def read() -> None:
            for line in iter(stream.readline, b""):
                name = json.loads(line)["object"]["metadata"].get("name", "")
                if name.startswith("w"):
                    seen[name] = time.monotonic()
                    arrived.release()
                    if len(seen) == EVENTS:
                        return

        reader = threading.Thread(target=read)
        reader.start()
        for index in range(EVENTS):
            sent[f"w{index}"] = time.monotonic()
            assert client.send("POST", path, {"metadata": {"name": f"w{index}"}}) == 201
            assert arrived.acquire(timeout=10)
        reader.join(10)
    waits = sorted((seen[name] - sent[name]) * 1000 for name in sent)
    return statistics.median(waits), waits[int(len(waits) * 0.99)]


def beside_many(url: str, token: str) -> float:
    """Give the p99, in milliseconds, of a write beside OBJECTS objects."""
    waits = []
    with Client(url, token) as client:
        for index in range(OBJECTS - CREATES):
            assert client.send("POST", MAPS, {"metadata": {"name": f"m{index}"}, "data": {"a": "b"}}) == 201
        for index in range(WRITES):
            begun = time.monotonic()
            assert (
                client.send("PUT", f"{MAPS}/m{index}", {"metadata": {"name": f"m{index}"}, "data": {"a": "c"}}) == 200
            )
            waits.append((time.monotonic() - begun) * 1000)
    return sorted(waits)[int(WRITES * 0.99)]


def told(name: str, url: str, token: str, ready: float) -> None:
    rate, (half, most), write = creates(url, token), latency(url, token), beside_many(url, token)
    print(  # noqa: T201 - a benchmark tells its figures
        f"\n{name}: ready {ready:.2f} s, {rate:.0f} creates/s on one connection, watch p50 {half:.2f} ms p99 {most:.2f} ms, "
        f"write beside {OBJECTS} objects p99 {write:.1f} ms; load {os.getloadavg()[0]:.1f}"
    )


def test_the_embedded_server(tmp_path):
    with embedded(tmp_path) as (url, token, ready):
        told("embedded", url, token, ready)


def test_a_real_kube_apiserver_in_the_same_run(tmp_path):
    if not {"MESH_KUBE_APISERVER", "MESH_ETCD"} <= os.environ.keys():
        pytest.skip("MESH_KUBE_APISERVER and MESH_ETCD do not name the programs")
    begun = time.monotonic()
    with kube_apiserver(tmp_path) as (url, token):
        told("kube-apiserver", url, token, time.monotonic() - begun)
