"""Sampling verdicts on the embedded cluster, many in a row: none may fail, and how long each takes. A lane of its own.

``make sampling``; SAMPLES (default 200) claims within 5 points, in turn a split of requests, of gRPC calls, of TCP
connections and a share of aborted requests; and a fifth as many within 2 points, of requests.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.statistics import Judgement

SAMPLES = int(os.environ.get("SAMPLES", "200"))
MEAN_SECONDS, P95_SECONDS = 3.0, 5.0
"""Of a verdict on 80/20 within 2 points, on two cores."""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - match: [{ headers: { x-fault: { exact: "418" } } }]
    fault: { abort: { percentage: { value: 20 }, httpStatus: 418 } }
    route: [{ destination: { host: reviews, subset: v1 } }]
  - route:
    - { destination: { host: reviews, subset: v1 }, weight: 80 }
    - { destination: { host: reviews, subset: v2 }, weight: 20 }
  tcp:
  - match: [{ port: 9000 }]
    route:
    - { destination: { host: reviews, subset: v1, port: { number: 9000 } }, weight: 80 }
    - { destination: { host: reviews, subset: v2, port: { number: 9000 } }, weight: 20 }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
"""


HTTP = "http://reviews"
VERSIONS = {"v1": 80, "v2": 20}
Verdict = Callable[[Client, float], Judgement]
KINDS: dict[str, Verdict] = {
    "requests": lambda client, delta: client.assert_split(HTTP, VERSIONS, delta=delta),
    "gRPC calls": lambda client, delta: client.assert_split("grpc://reviews:7000/x.Echo/Say", VERSIONS, delta=delta),
    "TCP connections": lambda client, delta: client.assert_split("tcp://reviews:9000", VERSIONS, delta=delta),
    "aborted requests": lambda client, delta: client.assert_split(
        HTTP, {"200": 80, "418": 20}, delta=delta, headers={"x-fault": "418"}, key="status"
    ),
}


@pytest.mark.timeout(3600)
def test_sampling_verdicts_in_a_row(mesh_namespace: MeshNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    ports, protocols = {80: 8080, 7000: 7070, 9000: 9090}, {7000: "grpc", 9000: "tcp"}
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"], ports=ports, protocols=protocols)
    mesh_namespace.apply(ROUTES)
    client = mesh_namespace.client("tester")
    took: dict[tuple[str, float], list[tuple[float, int]]] = defaultdict(list)
    kinds = list(KINDS)
    for number in range(SAMPLES):
        asked = [(kinds[number % len(kinds)], 5.0), *([("requests", 2.0)] if number % 5 == 0 else [])]
        for kind, delta in asked:
            started = time.monotonic()
            judgement = KINDS[kind](client, delta)
            took[kind, delta].append((time.monotonic() - started, judgement.requests))
    with capsys.disabled():
        sys.stdout.write(f"\nload averages {' '.join(f'{one:.1f}' for one in os.getloadavg())}")
        for (kind, delta), found in took.items():
            seconds = sorted(one for one, _ in found)
            sys.stdout.write(
                f"\n80/20 of {kind} within {delta:g} points: {len(found)} verdicts, none failed; "
                f"{statistics.mean(size for _, size in found):.0f} picks and {statistics.mean(seconds):.2f} s in the "
                f"mean, {p95(seconds):.2f} s at p95, {seconds[-1]:.2f} s at most\n"
            )
    seconds = sorted(one for one, _ in took["requests", 2.0])
    assert statistics.mean(seconds) <= MEAN_SECONDS
    assert p95(seconds) <= P95_SECONDS


def p95(ordered: list[float]) -> float:
    """Give the value that 95 of 100 do not exceed."""
    return ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
