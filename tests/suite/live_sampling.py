"""Sampling verdicts on the embedded cluster, many in a row: none may fail, and how long each takes. A lane of its own.

``make sampling``; SAMPLES (default 200) claims within 5 points, a fifth as many within 2 points.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import pytest

from pytest_mesh.namespace import MeshNamespace

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
  - route:
    - { destination: { host: reviews, subset: v1 }, weight: 80 }
    - { destination: { host: reviews, subset: v2 }, weight: 20 }
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


@pytest.mark.timeout(3600)
def test_sampling_verdicts_in_a_row(mesh_namespace: MeshNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
    mesh_namespace.apply(ROUTES)
    client = mesh_namespace.client("tester")
    took: dict[float, list[tuple[float, int]]] = {5.0: [], 2.0: []}
    for number in range(SAMPLES):
        for delta in (5.0, 2.0) if number % 5 == 0 else (5.0,):
            started = time.monotonic()
            judgement = client.assert_split("http://reviews", {"v1": 80, "v2": 20}, delta=delta)
            took[delta].append((time.monotonic() - started, judgement.requests))
    with capsys.disabled():
        sys.stdout.write(f"\nload averages {' '.join(f'{one:.1f}' for one in os.getloadavg())}")
        for delta, found in took.items():
            seconds = sorted(one for one, _ in found)
            sys.stdout.write(
                f"\n80/20 within {delta:g} points: {len(found)} verdicts, none failed; "
                f"{statistics.mean(size for _, size in found):.0f} requests and {statistics.mean(seconds):.2f} s in the "
                f"mean, {p95(seconds):.2f} s at p95, {seconds[-1]:.2f} s at most\n"
            )
    seconds = sorted(one for one, _ in took[2.0])
    assert statistics.mean(seconds) <= MEAN_SECONDS
    assert p95(seconds) <= P95_SECONDS


def p95(ordered: list[float]) -> float:
    """Give the value that 95 of 100 do not exceed."""
    return ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
