"""What an injection costs: the pure function, and the whole answer of the webhook over HTTP. Figures: docs/performance.md.

Run with ``make bench``. The bound is on CPU time, so that neighbours on the machine decide nothing.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from mesh_reference.injection.injector import inject, patch_of
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.webhooks.server import application

Json = dict[str, Any]
SETTINGS = InjectionSettings()
ROUNDS = 300
MOST_MILLISECONDS = 5.0


def pod(*, variables: int = 2, containers: int = 1) -> Json:
    """A pod as an API server sends it: defaults filled in, probes of three kinds."""
    one: Json = {
        "image": "example/app",
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "resources": {},
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": f"VARIABLE_{number}", "value": str(number)} for number in range(variables)],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1},
        "livenessProbe": {"tcpSocket": {"port": 8080}, "timeoutSeconds": 1},
        "startupProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "reviews-5d8c7f6b9-",
            "namespace": "shop",
            "labels": {"app": "reviews", "version": "v1", "pod-template-hash": "5d8c7f6b9"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9102"},
        },
        "spec": {
            "containers": [{"name": f"app-{number}", **one} for number in range(containers)],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


PODS = {
    "one container": pod(),
    "ten containers": pod(containers=10),
    "1,000 variables": pod(variables=1000),
    "injected before": inject(pod(), "shop", SETTINGS).pod,
}


class Spent:
    """CPU and wall-clock milliseconds of many rounds, one by one."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu.append((time.process_time() - cpu) * 1000)
        self.wall.append((time.perf_counter() - wall) * 1000)

    def tell(self, what: str, name: str) -> float:
        """Print both and give the median of the CPU's."""
        late = int(len(self.wall) * 0.99)
        cpu, wall = statistics.median(self.cpu), statistics.median(self.wall)
        figures = f"{cpu:.2f} CPU ms; {wall:.2f} ms p50, {sorted(self.wall)[late]:.2f} ms p99 by the clock"
        print(f"\n{what}, {name}: {figures} ({len(self.wall)} pods)")  # noqa: T201
        return cpu


@pytest.mark.parametrize("name", PODS)
def test_the_pure_function_with_its_patch(name: str) -> None:
    spent = Spent()
    for _ in range(ROUNDS):
        with spent.one():
            patch_of(PODS[name], inject(PODS[name], "shop", SETTINGS))
    assert spent.tell("inject", name) <= MOST_MILLISECONDS


@pytest.mark.parametrize("name", PODS)
def test_the_webhook_over_http(name: str) -> None:
    request = {"uid": "u", "operation": "CREATE", "namespace": "shop", "object": PODS[name]}
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})

    spent = Spent()

    async def main() -> None:
        async with TestServer(application(lambda: SETTINGS)) as server, ClientSession() as session:
            for _ in range(ROUNDS):
                headers = {"Content-Type": "application/json"}
                with spent.one():
                    async with session.post(server.make_url("/inject"), data=body, headers=headers) as answer:
                        assert (await answer.json())["response"]["allowed"]

    asyncio.run(main())
    # The client's share is in it: both ends run in this process.
    assert spent.tell("webhook", name) <= MOST_MILLISECONDS
