"""From a Pod's spec to Ready on the embedded cluster: one container alone, and a hundred Pods at once.

Ready is what the API says of the Pod, seen by a watch that was open before. The container is a shell that sleeps, without a
readiness probe, so that the figure is the cluster's own. POD_STARTS and POD_CROWD in the environment change the numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "local/cluster"))

from cluster_scene import IMAGES, Scene, is_ready, shell

from pytest_mesh.clusters.local import doctor
from pytest_mesh.clusters.local.cluster import LocalCluster

STARTS = int(os.environ.get("POD_STARTS", "20"))
CROWD = int(os.environ.get("POD_CROWD", "100"))
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    doctor.require_local(envoy=False)
    cluster = LocalCluster.start("bench-pods", run_dir=tmp_path_factory.mktemp("cluster") / "pods", lifeline=True)
    try:
        cluster.add_images(IMAGES)
        with contextlib.closing(Scene(cluster)) as scene:
            scene.until("/api/v1/namespaces/default/serviceaccounts/default", lambda account: account is not None)
            scene.until("/api/v1/nodes/mesh-node", lambda node: node is not None)
            yield scene
    finally:
        cluster.down()


def ready_after(scene, names):
    """Create these Pods; give the seconds from the first request until each is Ready."""
    version = scene.get(PODS)["metadata"]["resourceVersion"]
    params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": 120}
    seconds = {}
    with scene.session.get(scene.cluster.server + PODS, params=params, stream=True, timeout=125) as answer:
        began = time.perf_counter()
        for name in names:
            spec = {"terminationGracePeriodSeconds": 0, "containers": [shell("exec sleep 1000")]}
            scene.call("POST", PODS, {"metadata": {"name": name}, "spec": spec})
        for line in answer.iter_lines(chunk_size=None):
            pod = json.loads(line)["object"]
            name = pod["metadata"]["name"]
            if name not in seconds and is_ready(pod):
                seconds[name] = time.perf_counter() - began
                if len(seconds) == len(names):
                    return seconds
    raise AssertionError(f"{len(names) - len(seconds)} of {len(names)} pods did not become Ready within 120 s")


def end(scene, names):
    for name in names:
        scene.call("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
    for name in names:
        scene.until_gone(f"{PODS}/{name}")


def test_one_pod_and_a_hundred(scene):
    alone = []
    for number in range(STARTS):
        (seconds,) = ready_after(scene, [f"one-{number}"]).values()
        alone.append(seconds * 1000)
        end(scene, [f"one-{number}"])
    names = [f"crowd-{number}" for number in range(CROWD)]
    crowd = ready_after(scene, names)
    end(scene, names)
    load = os.getloadavg()[0]
    sys.stdout.write(
        f"\none container, spec to Ready, {STARTS} times: median {statistics.median(alone):.0f} ms, "
        f"least {min(alone):.0f} ms, most {max(alone):.0f} ms (wanted: 150 ms)\n"
        f"{CROWD} pods at once: {max(crowd.values()):.1f} s (wanted: 20 s for 100)\nload {load:.1f}\n"
    )
