"""A real kube-apiserver with its etcd, for recording: MESH_KUBE_APISERVER and MESH_ETCD name the two programs.

Nothing else of Kubernetes runs beside it: no controllers, no node.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

TOKEN = "of-this-run-alone"
READY_SECONDS = 90.0
ISSUER = "https://kubernetes.default.svc.cluster.local"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(argv: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def kube_apiserver(folder: Path) -> Iterator[tuple[str, str]]:
    """Run both in ``folder``; gives (URL, administrator's token)."""
    etcd, peers, port = free_port(), free_port(), free_port()
    (folder / "tokens.csv").write_text(f"{TOKEN},kubernetes-admin,,system:masters\n")
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    store = [os.environ["MESH_ETCD"], "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"]
    for flag, number in (("client", etcd), ("peer", peers)):
        store += [f"--listen-{flag}-urls", f"http://127.0.0.1:{number}"]
    store += ["--advertise-client-urls", f"http://127.0.0.1:{etcd}"]
    store += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peers}"]
    store += ["--initial-cluster", f"default=http://127.0.0.1:{peers}"]
    server = [os.environ["MESH_KUBE_APISERVER"], f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={port}"]
    server += ["--bind-address=127.0.0.1", f"--cert-dir={folder / 'certificates'}", "--authorization-mode=RBAC"]
    server += [f"--token-auth-file={folder / 'tokens.csv'}", f"--service-account-issuer={ISSUER}"]
    server += [f"--service-account-signing-key-file={key}", f"--service-account-key-file={key}"]
    server += [
        "--service-cluster-ip-range=10.96.0.0/16",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        "--enable-priority-and-fairness=false",
    ]
    with _running(store, folder / "etcd.log"), _running(server, folder / "apiserver.log"):
        url, end = f"https://127.0.0.1:{port}", time.monotonic() + READY_SECONDS
        while not _is_ready(url):
            assert time.monotonic() < end, (folder / "apiserver.log").read_text()[-2000:]
            threading.Event().wait(0.3)
        yield url, TOKEN


def _is_ready(url: str) -> bool:
    ask = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(ask, timeout=5, context=ssl._create_unverified_context()) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False
