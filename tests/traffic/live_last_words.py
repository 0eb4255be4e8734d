"""A workload that dies in mid-batch, on the embedded cluster: infrastructure with its last words, never a route's failure.

.venv/bin/pytest tests/traffic --override-ini=python_files='live_*.py' --mesh-cluster=local
"""

from __future__ import annotations

import threading

import pytest

from pytest_mesh.contracts import Request
from pytest_mesh.failures import Infrastructure

SLOW = Request(url="http://reviews/", headers=(("x-mesh-delay", "40"),), timeout=60.0)


KILL = """
import os, signal
from pathlib import Path

for one in Path("/proc").glob("[0-9]*/cmdline"):
    pid = int(one.parent.name)
    if b"pytest_mesh.workloads" in one.read_bytes() and pid != os.getpid():
        # The first process of a container cannot be killed from within: it is asked to end.
        os.kill(pid, signal.SIGTERM if pid == 1 else signal.SIGKILL)
"""


def kill(namespace, pod):
    namespace.exec(pod, "python3", "-S", "-c", KILL)


@pytest.mark.parametrize("victim", ["tester", "reviews"])
def test_a_workload_that_dies_in_mid_batch_is_infrastructure_with_its_last_words(mesh_namespace, victim):
    mesh_namespace.stand_in("reviews")
    client = mesh_namespace.client("tester")
    assert client.get("http://reviews").ok
    pod = mesh_namespace.pod(victim)["metadata"]["name"]
    timer = threading.Timer(1.0, kill, (mesh_namespace, pod))
    timer.start()
    try:
        with pytest.raises(Infrastructure) as caught:
            client.batch([SLOW], count=4, connections=4)
    finally:
        timer.join()
    text = str(caught.value)
    assert pod in text
    assert "workload: version" in text, text
