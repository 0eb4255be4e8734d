"""The processes of the comparison: an API server of the project for each run, and the control plane that reads it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 60.0
NODE = "10.244.0.1"
"""Where the API server listens besides loopback: Kubernetes takes no loopback address for its own endpoint."""
PAGE = os.sysconf("SC_PAGE_SIZE")
ISTIOD_ENVIRONMENT = {
    "POD_NAMESPACE": "istio-system", "POD_NAME": "istiod-0", "SERVICE_ACCOUNT": "istiod", "REVISION": "default",
    "CLUSTER_ID": "Kubernetes", "PILOT_CERT_PROVIDER": "istiod", "ISTIOD_CUSTOM_HOST": "localhost",
}  # fmt: skip
MESH_CONFIG = "defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012'}\nrootNamespace: istio-system\n"
PLAIN = "enableAutoMtls: false\n"
"""More of the mesh config, for an Envoy that nobody serves certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A control plane under measurement. ``setting``: environment that makes it another one than the default."""

    name: str
    setting: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Name and values of the setting: ``istiod 10ms``."""
        return " ".join([self.name, *(value for _name, value in self.setting)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Its process and its plaintext ADS."""

    pid: int
    address: str

    def cpu(self) -> float:
        """Seconds, user and system, by the process's own CPU clock: /proc counts in hundredths."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory(self) -> float:
        """Resident MiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE / 2**20


def own_network() -> None:
    """Set up this process's network namespace, in which nothing else runs (``unshare -n``)."""
    for line in ("ip link set lo up", f"ip addr add {NODE}/32 dev lo"):
        subprocess.run(line.split(), check=True)


@contextlib.asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[Path]:
    """A fresh one, on loopback; gives the administrator's kubeconfig."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        reading, writing = os.pipe()
        argv = [sys.executable, "-m", "pytest_mesh.clusters.local.apiserver"]
        argv += _options({
            "--run-dir": folder, "--listen-fd": listening.fileno(), "--node-address": NODE, "--port": _free_port(NODE), "--ready-fd": writing,
        })  # fmt: skip
        async with _process(argv, folder / "api.log", {}, (listening.fileno(), writing)):
            os.close(writing)
            async with asyncio.timeout(READY_SECONDS):
                said = await asyncio.to_thread(os.read, reading, 16)
            os.close(reading)
            assert said == b"ready\n", (folder / "api.log").read_text()[-2000:]
            yield folder / "kubeconfig"


@contextlib.asynccontextmanager
async def control_plane(
    plane: Plane, kubeconfig: Path, folder: Path, istio: Path | None, more_config: str = ""
) -> AsyncIterator[Running]:
    """Start it on free ports of loopback and wait until it is ready. ``istio``: the folder of Istio's programs.

    ``more_config``: lines of istiod's mesh config; the reference reads its own from ConfigMap ``istio``.
    """
    xds, secure, monitoring, hooks, http = (_free_port("127.0.0.1") for _ in range(5))
    if plane.name == "istiod":
        assert istio is not None
        (folder / "mesh.yaml").write_text(MESH_CONFIG + more_config)
        argv = [str(istio / "pilot-discovery"), "discovery"]
        argv += _options({
            "--kubeconfig": kubeconfig, "--httpAddr": f"127.0.0.1:{http}", "--httpsAddr": f"127.0.0.1:{hooks}",
            "--grpcAddr": f"127.0.0.1:{xds}", "--secureGRPCAddr": f"127.0.0.1:{secure}", "--ctrlz_port": 0,
            "--monitoringAddr": f"127.0.0.1:{monitoring}", "--meshConfig": folder / "mesh.yaml", "--domain": "cluster.local",
        })  # fmt: skip
        environment = {**ISTIOD_ENVIRONMENT, "HOME": str(folder)}
    else:
        argv = [sys.executable, "-m", "mesh_reference.cli", "istiod"]
        argv += _options({
            "--kubeconfig": kubeconfig, "--listen": "127.0.0.1", "--xds-port": xds, "--secure-port": secure,
            "--http-port": http, "--monitoring-port": monitoring, "--webhook-port": hooks,
        })  # fmt: skip
        environment = {}
    log = folder / f"{plane.name}.log"
    async with _process(argv, log, {**environment, **dict(plane.setting)}) as process:
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(_answers, f"http://127.0.0.1:{http}/ready"):
                assert process.returncode is None, log.read_text()[-2000:]
                await asyncio.sleep(0.1)
        yield Running(pid=process.pid, address=f"127.0.0.1:{xds}")


@contextlib.asynccontextmanager
async def _process(
    argv: list[str], log: Path, environment: dict[str, str], passed: tuple[int, ...] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=out, stderr=out, env={**os.environ, **environment}, pass_fds=passed, cwd=log.parent
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _options(found: Mapping[str, object]) -> list[str]:
    return [str(part) for pair in found.items() for part in pair]


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
