"""The embedded API server's figures on its own, over TLS: ready, creates, watch latency, writes beside objects and watches, memory.

Beside a real kube-apiserver in the same run where MESH_KUBE_APISERVER and MESH_ETCD name the two programs; then the
last line is the ratio of the two. ``API_WRITES`` in the environment lowers the number of writes of the long run.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "local/differential"))

from raw_https import Connection
from real_server import free_port, kube_apiserver

HERE = Path(__file__).parent
STARTS, ROUNDS, CREATES = 5, 3, 2000
CONNECTIONS = 8
EVENTS = 500
OBJECTS, WATCHES, WATCHED = 10_000, 200, 1000
WRITES = int(os.environ.get("API_WRITES", "100000"))
MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a server is; seconds and milliseconds as the names say."""

    ready_s: float
    creates_per_s: float
    creates_per_s_over_8: float
    watch_p50_ms: float
    watch_p99_ms: float
    write_p50_ms: float
    write_p99_ms: float
    write_most_ms: float
    list_ms: float


def own_address() -> str:
    """Give an address of this machine that is no loopback: endpoints on loopback are refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


def compiled(folder: Path) -> dict[str, str]:
    """Give an environment in which Python keeps what it compiles, as an installation has it from the beginning."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[tuple[str, str, int, float]]:
    """Run the server's program; gives (URL, token, process id, seconds until it was ready)."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        read, write = os.pipe()
        argv = [sys.executable, "-m", "pytest_mesh.clusters.local.apiserver", "--run-dir", str(folder)]
        argv += ["--listen-fd", str(listening.fileno()), "--node-address", own_address()]
        argv += ["--port", str(free_port()), "--ready-fd", str(write)]
        begun, passed = time.monotonic(), (listening.fileno(), write)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(argv, pass_fds=passed, stderr=log, env=compiled(folder.parent)) as process,
        ):
            os.close(write)
            try:
                assert os.read(read, 16) == b"ready\n", (folder / "log").read_text()
                ready = time.monotonic() - begun
                config = yaml.safe_load((folder / "kubeconfig").read_text())
                url = f"https://127.0.0.1:{listening.getsockname()[1]}"
                yield url, config["users"][0]["user"]["token"], process.pid, ready
            finally:
                process.terminate()
                process.wait(20)
                os.close(read)


def config_map(name: str, value: str = "b") -> bytes:
    return json.dumps({"metadata": {"name": name}, "data": {"a": value}}).encode()


def resident(pid: int) -> float:
    """Give what a process holds in memory, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


def share(waits: list[float], part: float) -> float:
    """Give a percentile in milliseconds."""
    return sorted(waits)[int(len(waits) * part)] * 1000


def creates(url: str, token: str) -> float:
    """Give the median rate of ROUNDS of creates, each sent when the one before is answered."""
    rates = []
    with Connection(url, token) as client:
        for turn in range(ROUNDS):
            begun = time.monotonic()
            for index in range(CREATES):
                status, answer = client.ask("POST", MAPS, config_map(f"c{turn}-{index}"))
                assert status == 201, answer
            rates.append(CREATES / (time.monotonic() - begun))
    return statistics.median(rates)


def creates_over_many(url: str, token: str) -> float:
    """Give the rate of creates with one under way on each of CONNECTIONS."""
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        begun = time.monotonic()
        for index in range(CONNECTIONS):
            client = stack.enter_context(Connection(url, token))
            selector.register(client, selectors.EVENT_READ, client)
            client.send("POST", MAPS, config_map(f"o{index}"))
        sent, answered = CONNECTIONS, 0
        while answered < CREATES:
            for key, _ in selector.select():
                status, answer = key.data.receive()
                assert status == 201, answer
                answered += 1
                if sent < CREATES:
                    key.data.send("POST", MAPS, config_map(f"o{sent}"))
                    sent += 1
        return CREATES / (time.monotonic() - begun)


def version_of(client: Connection, path: str) -> str:
    version: str = json.loads(client.ask("GET", f"{path}?limit=1")[1])["metadata"]["resourceVersion"]
    return version


def latency(url: str, token: str) -> tuple[float, float]:
    """Give p50 and p99, in milliseconds, from sending a create to having read its event."""
    waits = []
    with (
        Connection(url, token) as watching,
        Connection(url, token) as client,
        selectors.DefaultSelector() as selector,
    ):
        watching.follow(f"{SECRETS}?watch=true&resourceVersion={version_of(client, SECRETS)}")
        for connection in (watching, client):
            selector.register(connection, selectors.EVENT_READ, connection)
        for index in range(EVENTS):
            name = f"w{index}"
            begun = time.monotonic()
            client.send("POST", SECRETS, json.dumps({"metadata": {"name": name}}).encode())
            seen, answered = b"", False
            while not (answered and f'"name":"{name}"'.encode() in seen and seen.endswith(b"\n\r\n")):
                for key, _ in selector.select(10):
                    if key.data is client:
                        assert client.receive()[0] == 201
                        answered = True
                    else:
                        seen += watching.pieces()
                        arrived = time.monotonic()
            waits.append(arrived - begun)
    return share(waits, 0.5), share(waits, 0.99)


def beside_many(url: str, token: str) -> tuple[list[float], float]:
    """Give each write's seconds beside OBJECTS objects and WATCHES watches of all of them, and a whole list's milliseconds."""
    waits = []
    with Connection(url, token) as client:
        held = len(json.loads(client.ask("GET", MAPS)[1])["items"])
        for index in range(max(OBJECTS - held, WATCHED)):
            assert client.ask("POST", MAPS, config_map(f"m{index}"))[0] == 201
        begun = time.monotonic()
        assert client.ask("GET", MAPS)[0] == 200
        listing = (time.monotonic() - begun) * 1000
        path = f"/api/v1/configmaps?watch=true&resourceVersion={version_of(client, MAPS)}"
        argv = [sys.executable, str(HERE / "many_watches.py"), url, path, str(WATCHES)]
        environment = {**os.environ, "TOKEN": token}
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as watches:
            assert watches.stdin is not None
            assert watches.stdout is not None
            assert watches.stdout.readline() == b"open\n"
            for index in range(WATCHED):
                begun = time.monotonic()
                assert client.ask("PUT", f"{MAPS}/m{index}", config_map(f"m{index}", "c"))[0] == 200
                waits.append(time.monotonic() - begun)
            watches.stdin.write(b"%d\n" % WATCHED)
            watches.stdin.flush()
            assert int(watches.stdout.readline()) >= WATCHED, "a watch did not see every write"
            watches.stdin.close()
            watches.wait(20)
    return waits, listing


def memory(url: str, token: str, pid: int) -> dict[str, float]:
    """Give the MiB that a server holds after OBJECTS creates and as many writes, and after WRITES further writes of the same objects."""
    with Connection(url, token) as client:
        for index in range(OBJECTS):
            assert client.ask("POST", MAPS, config_map(f"m{index}"))[0] == 201
        for index in range(OBJECTS + WRITES):
            if index == OBJECTS:
                before = resident(pid)
            name = f"m{index % OBJECTS}"
            assert client.ask("PUT", f"{MAPS}/{name}", config_map(name, f"v{index}"))[0] == 200
        return {"before_mib": before, "after_mib": resident(pid)}


def speed(url: str, token: str, ready: float) -> Speed:
    one, many, (half, most) = creates(url, token), creates_over_many(url, token), latency(url, token)
    waits, listing = beside_many(url, token)
    return Speed(
        ready_s=ready,
        creates_per_s=one,
        creates_per_s_over_8=many,
        watch_p50_ms=half,
        watch_p99_ms=most,
        write_p50_ms=share(waits, 0.5),
        write_p99_ms=share(waits, 0.99),
        write_most_ms=max(waits) * 1000,
        list_ms=listing,
    )


def told(name: str, found: dict[str, float]) -> None:
    shown = ", ".join(f"{title} {value:.2f}" for title, value in found.items())
    print(f"\n{name}: {shown}; load {os.getloadavg()[0]:.1f}")  # noqa: T201 - a benchmark tells its figures


def real_pid(folder: Path) -> int:
    """Give the process id of the kube-apiserver whose certificates are in ``folder``."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"--cert-dir={folder}/".encode() in place.read_bytes():
                return int(place.parent.name)
    raise AssertionError("no kube-apiserver of this folder runs")


@contextlib.contextmanager
def real(folder: Path) -> Iterator[tuple[str, str, int, float]]:
    """Run a kube-apiserver, as :func:`embedded` does its own; skips the rest of the test where none is named."""
    if not {"MESH_KUBE_APISERVER", "MESH_ETCD"} <= os.environ.keys():
        pytest.skip("the real one is not measured: MESH_KUBE_APISERVER and MESH_ETCD do not name the programs")
    folder.mkdir()
    begun = time.monotonic()
    with kube_apiserver(folder) as (url, token):
        yield url, token, real_pid(folder), time.monotonic() - begun


def beside(ours: dict[str, float], theirs: dict[str, float]) -> None:
    told("kube-apiserver", theirs)
    told("embedded / kube-apiserver", {name: ours[name] / theirs[name] for name in ours})


@pytest.mark.timeout(600)
def test_speed_beside_a_real_server(tmp_path):
    starts = []
    for index in range(STARTS):
        with embedded(tmp_path / f"start{index}") as (*_, ready):
            starts.append(ready)
    with embedded(tmp_path / "embedded") as (url, token, _, _):
        ours = asdict(speed(url, token, statistics.median(starts)))
    told("embedded", ours)
    with real(tmp_path / "real") as (url, token, _, ready):
        beside(ours, asdict(speed(url, token, ready)))


@pytest.mark.timeout(1800)
def test_memory_beside_a_real_server(tmp_path):
    with embedded(tmp_path / "embedded") as (url, token, pid, _):
        ours = memory(url, token, pid)
    told(f"embedded, {WRITES} writes", ours)
    assert ours["after_mib"] < ours["before_mib"] * 1.1, "it grew with what was written"
    with real(tmp_path / "real") as (url, token, pid, _):
        beside(ours, memory(url, token, pid))
