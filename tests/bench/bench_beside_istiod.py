"""The reference beside the real istiod: the same mesh, the same sidecars, the same changes, in turn, in one sitting.

Run with ``make bench`` where MESH_ISTIO_BIN names the folder of Istio's programs. ``BESIDE`` (default ``100x10 1000x10``):
Services x sidecars; ``ROUNDS`` (default 1): how often all take their turn; ``CHANGES`` (default 40) of each kind;
``PLANES`` (default ``istiod,reference``; also ``istiod 10ms``, by its debounce): those wanted. Latencies: from the API's answer to the bytes at a sidecar. It judges nothing: figures are for reading.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from beside.fleet import CDS, EDS, RDS, VHDS, Fleet, Sought
from beside.mesh_objects import Api, Mesh, host, weighted_cluster
from beside.planes import Plane, Running, api_server, control_plane, own_network

from mesh_reference.model.crds import definitions

PLANES = (
    Plane(name="istiod"),
    Plane(name="reference"),
    Plane(name="istiod", setting=(("PILOT_DEBOUNCE_AFTER", "10ms"),)),
)
SIZES = [tuple(map(int, size.split("x"))) for size in os.environ.get("BESIDE", "100x10 1000x10").split()]
ROUNDS = int(os.environ.get("ROUNDS", "1"))
CHANGES = int(os.environ.get("CHANGES", "40"))
WANTED_PLANES = os.environ.get("PLANES", "istiod,reference").split(",")
BURST = 100
IN_FLIGHT = 8
SEEN_SECONDS = 60.0
KINDS = ("route", "endpoint", "service")
GOALS = {
    "route p50": 0.25, "route p99": 0.5, "route CPU": 0.2, "endpoint p50": 0.2, "endpoint p99": 0.5, "endpoint CPU": 1.0,
    "service p50": 0.25, "service p99": 0.5, "service CPU": 1.0, "burst": 1.0, "burst CPU": 1.0, "cold sync": 1.0,
    "cold sync CPU": 1.0, "memory": 1.0, "bytes of a route change": 0.05,
}  # fmt: skip
"""What is wanted of the reference, in parts of istiod's own figure."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """One run. Seconds, CPU seconds, MiB, bytes; of changes (p50, p99) in ms and CPU ms for each change."""

    plane: str
    services: int
    sidecars: int
    cold: float = 0.0
    cold_cpu: float = 0.0
    refused: int = 0
    latency: dict[str, tuple[float, float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    route_bytes: float = 0.0
    burst: float = 0.0
    burst_cpu: float = 0.0
    burst_pushes: float = 0.0
    memory: float = 0.0
    load: float = 0.0

    def flat(self) -> dict[str, float]:
        """By the names of GOALS; latencies, CPU of changes, bursts and syncs in ms."""
        out = {"memory": self.memory, "bytes of a route change": self.route_bytes}
        out |= {"burst": 1000 * self.burst, "burst CPU": 1000 * self.burst_cpu}
        out |= {"cold sync": 1000 * self.cold, "cold sync CPU": 1000 * self.cold_cpu}
        for kind in KINDS:
            out |= dict(
                zip((f"{kind} p50", f"{kind} p99"), self.latency[kind], strict=True), **{f"{kind} CPU": self.cpu[kind]}
            )
        return out

    def line(self) -> str:
        parts = [f"{self.plane:18} {self.services:>5} x {self.sidecars:<3} cold {self.cold:5.2f} s ({self.cold_cpu:5.2f} CPU s, {self.refused} refused)"]  # fmt: skip
        parts += [
            f"{kind} {self.latency[kind][0]:4.0f}/{self.latency[kind][1]:<4.0f} ms {self.cpu[kind]:5.1f} CPU ms" for kind in KINDS
        ]  # fmt: skip
        parts.append(f"burst {self.burst:.2f} s {self.burst_cpu:.2f} CPU s {self.burst_pushes:.1f} pushes")
        parts.append(f"{self.memory:.0f} MiB, {self.route_bytes:,.0f} bytes, load {self.load:.1f}")
        return "; ".join(parts)


class Run:
    """One control plane on one mesh."""

    def __init__(self, mesh: Mesh, fleet: Fleet, plane: Running, figures: Figures) -> None:
        self._mesh = mesh
        self._fleet = fleet
        self._plane = plane
        self._figures = figures

    async def measure(self) -> None:
        used = self._plane.cpu()
        self._figures.cold = await self._fleet.connect()
        self._figures.cold_cpu = self._plane.cpu() - used
        self._figures.refused = self._fleet.refused
        await self._fleet.quiet()
        received = self._fleet.received
        await self._changes("route", self._route)
        self._figures.route_bytes = (self._fleet.received - received) / len(self._fleet.sidecars) / CHANGES
        await self._changes("endpoint", self._endpoint)
        await self._changes("service", self._service)
        await self._burst()
        self._figures.memory = self._plane.memory()
        self._figures.load = os.getloadavg()[0]

    async def _changes(self, kind: str, make: Callable[[int], tuple[tuple[Sought, ...], Awaitable[None]]]) -> None:
        await self._fleet.quiet()
        latencies: list[float] = []
        used = self._plane.cpu()
        for number in range(CHANGES):
            sought, write = make(number)
            self._fleet.expect(*sought)
            await write
            answered = time.monotonic()
            async with asyncio.timeout(SEEN_SECONDS):
                for item in sought:
                    await item.found.wait()
            latencies += [max(item.seen[one] for item in sought) - answered for one in sought[0].seen]
            await asyncio.sleep(random.uniform(0.2, 0.4))
        await self._fleet.quiet()
        latencies.sort()
        middle, worst = statistics.median(latencies), latencies[int(len(latencies) * 0.99)]
        self._figures.latency[kind] = (1000 * middle, 1000 * worst)
        self._figures.cpu[kind] = 1000 * (self._plane.cpu() - used) / CHANGES

    def _route(self, number: int) -> tuple[tuple[Sought, ...], Awaitable[None]]:
        name, weight = number % self._mesh.services, 1 + number % 70
        return (_routed(name, weight),), self._mesh.weigh(name, weight)

    def _endpoint(self, number: int) -> tuple[tuple[Sought, ...], Awaitable[None]]:
        address = f"10.40.{number // 100}.{number % 100 + 100}"
        sought = Sought(types=frozenset({EDS}), needle=address.encode())
        return (sought,), self._mesh.add_endpoint(number % self._mesh.services, address)

    def _service(self, number: int) -> tuple[tuple[Sought, ...], Awaitable[None]]:
        name = host(f"new-{number}").encode()
        sought = (Sought(types=frozenset({CDS}), needle=name), Sought(types=frozenset({RDS, VHDS}), needle=name))
        return sought, self._mesh.new_service(f"new-{number}")

    async def _burst(self) -> None:
        """Many weights at once, the last one alone; until every sidecar has the last."""
        pushes, used, started = self._fleet.pushes, self._plane.cpu(), time.monotonic()
        last = _routed(0, 99)
        numbers = iter(range(1, BURST))

        async def lane() -> None:
            for number in numbers:
                await self._mesh.weigh(number % self._mesh.services, 71 + number % 20)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(lane())
        self._fleet.expect(last)
        await self._mesh.weigh(0, 99)
        async with asyncio.timeout(SEEN_SECONDS):
            await last.found.wait()
        self._figures.burst = time.monotonic() - started
        await self._fleet.quiet()
        self._figures.burst_cpu = self._plane.cpu() - used
        found = self._fleet.pushes - pushes
        self._figures.burst_pushes = max(found["RouteConfiguration"], found["VirtualHost"]) / len(self._fleet.sidecars)


def _routed(number: int, weight: int) -> Sought:
    return Sought(types=frozenset({RDS, VHDS}), needle=weighted_cluster(f"svc-{number}", weight))


async def measure(plane: Plane, services: int, sidecars: int, folder: Path, istio: Path) -> Figures:
    figures = Figures(plane=plane.label, services=services, sidecars=sidecars)
    async with api_server(folder) as kubeconfig, Api(kubeconfig) as api:
        mesh = Mesh(api, services)
        await mesh.create(definitions())
        async with control_plane(plane, kubeconfig, folder, istio) as running:
            fleet = Fleet(running.address, sidecars, services * 3)
            try:
                await Run(mesh, fleet, running, figures).measure()
            finally:
                await fleet.disconnect()
    return figures


def ratios(found: list[Figures]) -> list[str]:
    """The reference's medians over the rounds in parts of istiod's, size by size."""
    out = []
    for services, sidecars in SIZES:
        ours, theirs = (
            [one.flat() for one in found if (one.plane, one.services, one.sidecars) == (name, services, sidecars)]
            for name in ("reference", "istiod")
        )
        if not ours or not theirs:
            continue
        out.append(f"{services} x {sidecars}, parts of istiod (wanted):")
        for name, wanted in GOALS.items():
            own, other = (statistics.median(one[name] for one in runs) for runs in (ours, theirs))
            out.append(f"  {name:24} {own / max(other, 1e-9):6.3f} ({wanted})  {own:.1f} : {other:.1f}")
    return out


def alone(*argv: str) -> dict[str, Any]:
    """What a program says in a network of its own."""
    done = subprocess.run(["unshare", "-mn", sys.executable, *argv], stdout=subprocess.PIPE, check=True, timeout=1800)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def istio() -> None:
    if "MESH_ISTIO_BIN" not in os.environ:
        pytest.skip("NOT MEASURED: MESH_ISTIO_BIN does not name the folder of Istio's programs")


@pytest.mark.usefixtures("istio")
@pytest.mark.timeout(7200)
def test_the_reference_beside_istiod(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = []
    for services, sidecars in SIZES:
        for _round in range(ROUNDS):
            for plane in PLANES:
                if plane.label not in WANTED_PLANES:
                    continue
                folder = tmp_path_factory.mktemp(plane.name)
                figures = Figures(**alone(__file__, plane.label, str(services), str(sidecars), str(folder)))
                print(f"\n{figures.line()}", flush=True)  # noqa: T201
                found.append(figures)
    print("\n" + "\n".join(ratios(found)))  # noqa: T201
    if out := os.environ.get("BESIDE_OUT"):
        Path(out).write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


@pytest.mark.usefixtures("istio")
@pytest.mark.timeout(1800)
def test_a_real_envoy_of_the_reference_beside_one_of_istiod(tmp_path_factory: pytest.TempPathFactory) -> None:
    """``ENVOY_BESIDE`` (default 1000): Services that share the port; wanted is 0.3 of istiod's p50."""
    script, services = str(Path(__file__).with_name("envoy_beside.py")), os.environ.get("ENVOY_BESIDE", "1000")
    found: dict[str, list[float]] = {"istiod": [], "reference": []}
    for _round in range(ROUNDS):
        for name, latencies in found.items():
            told = alone(script, name, services, "20", str(tmp_path_factory.mktemp(name)))
            print(f"\n{told}", flush=True)  # noqa: T201
            latencies.append(told["p50 ms"])
    ours, theirs = (statistics.median(found[name]) for name in ("reference", "istiod"))
    print(f"\nreal Envoy, {services} other Services: p50 {ours:.0f} : {theirs:.0f} ms = {ours / theirs:.2f} (0.3)")  # noqa: T201


if __name__ == "__main__":
    own_network()
    label, count, fleet_size, directory = sys.argv[1:5]
    chosen = next(plane for plane in PLANES if plane.label == label)
    made = asyncio.run(
        measure(chosen, int(count), int(fleet_size), Path(directory), Path(os.environ["MESH_ISTIO_BIN"]))
    )
    print(json.dumps(asdict(made)))  # noqa: T201
