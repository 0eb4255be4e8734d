"""What a change costs the control plane, and when every proxy has it. Figures and their meaning: docs/performance.md.

The whole Istiod runs here over an in-memory API; the proxies are another process. Run with ``make bench``.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reference" / "xds"))

from memory_kube import MemoryKube, destination_rule, endpoint_slice, pod, service, virtual_service

from mesh_reference.app import Istiod
from mesh_reference.settings import Settings

Json = dict[str, Any]
PORTS = Settings(listen_host="127.0.0.1", xds_port=0, secure_port=0, monitoring_port=0, webhook_port=0, http_port=0)
CHANGES = 40
PAUSE = 0.12
"""Seconds between changes: more than the pace under a stream of changes."""


def addresses_of(number: int) -> list[str]:
    return [f"10.20.{number // 100}.{number % 100 * 2 + one}" for one in (0, 1)]


def objects(number: int) -> list[Json]:
    name, addresses = f"svc-{number}", addresses_of(number)
    return [
        service(name, f"10.96.{number // 250}.{number % 250 + 1}", namespace="bench"),
        endpoint_slice(name, addresses, namespace="bench"),
        *(
            pod(f"{name}-{version}", address, {"version": version}, namespace="bench")
            for version, address in zip(("v1", "v2"), addresses, strict=True)
        ),
        destination_rule(name, name, {"v1": {"version": "v1"}, "v2": {"version": "v2"}}, "bench"),
        routed(name, 80),
    ]


def routed(name: str, weight: int) -> Json:
    route = [
        {"destination": {"host": name, "subset": subset}, "weight": share}
        for subset, share in (("v1", weight), ("v2", 100 - weight))
    ]
    return virtual_service(name, [name], [{"route": route}], "bench")


class Proxies:
    """The other process, and what it has received."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen: list[tuple[int, str, int, float]] = []
        self._more = asyncio.Event()

    async def read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.seen.append(tuple(json.loads(line)))
            self._more.set()

    async def until(self, kind: str, since: int) -> list[float]:
        """When each proxy received its first response of the type after the first ``since`` ones."""
        async with asyncio.timeout(60):
            while True:
                found: dict[int, float] = {}
                for number, type_name, _size, at in self.seen[since:]:
                    if type_name == kind:
                        found.setdefault(number, at)
                if len(found) == self.count:
                    return list(found.values())
                self._more.clear()
                await self._more.wait()


async def measure(services: int, count: int) -> dict[str, Any]:
    kube = MemoryKube(*(item for number in range(services) for item in objects(number)))
    istiod, stop = Istiod(kube=kube, settings=PORTS), asyncio.Event()
    serving = asyncio.create_task(istiod.serve(stop))
    await istiod.ready.wait()
    proxies = Proxies(count)
    started, used = time.monotonic(), time.process_time()
    argv = [sys.executable, str(Path(__file__).with_name("fake_proxies.py")), str(istiod.ports.xds), str(count)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    reading = asyncio.create_task(proxies.read(process.stdout))
    out: dict[str, Any] = {"services": services, "proxies": count}
    out["cold sync s"] = max(await proxies.until("VirtualHost", 0)) - started
    out["cold sync CPU s"] = time.process_time() - used

    async def change(name: str, kind: str, make: Callable[[int], Json]) -> None:
        latencies: list[float] = []
        await asyncio.sleep(1)
        used, size = time.process_time(), sum(item[2] for item in proxies.seen)
        for number in range(CHANGES):
            before, at = len(proxies.seen), time.monotonic()
            kube.put(make(number))
            latencies += [arrived - at for arrived in await proxies.until(kind, before)]
            await asyncio.sleep(PAUSE)
        out[f"{name} ms"] = [round(1000 * found, 1) for found in (statistics.median(latencies), max(latencies))]
        out[f"{name} CPU ms"] = 1000 * (time.process_time() - used) / CHANGES
        out[f"{name} bytes"] = (sum(item[2] for item in proxies.seen) - size) / count / CHANGES

    await change("route", "VirtualHost", lambda number: routed(f"svc-{number}", number % 79 + 1))
    await change(
        "endpoint",
        "ClusterLoadAssignment",
        lambda number: endpoint_slice(
            f"svc-{number}", [*addresses_of(number), f"10.40.0.{number + 1}"], namespace="bench"
        ),
    )
    await change(
        "service", "VirtualHost", lambda number: service(f"new-{number}", f"10.97.0.{number + 1}", namespace="bench")
    )
    reading.cancel()
    process.kill()
    await process.wait()
    stop.set()
    await serving
    return out


@pytest.mark.parametrize(("services", "count"), [(100, 10), (1000, 10), (1000, 50)])
@pytest.mark.timeout(300)
def test_what_a_change_costs(services: int, count: int) -> None:
    found = asyncio.run(measure(services, count))
    print(  # noqa: T201
        f"\n{found['services']} services x {found['proxies']} proxies: "
        f"cold sync {found['cold sync s']:.2f} s ({found['cold sync CPU s']:.2f} CPU s)"
    )
    for name in ("route", "endpoint", "service"):
        middle, worst = found[f"{name} ms"]
        print(  # noqa: T201
            f"  {name + ' change':16} median {middle:6} ms, worst {worst:6} ms, {found[name + ' CPU ms']:5.1f} CPU ms, "
            f"{found[name + ' bytes']:6.0f} bytes per proxy"
        )
