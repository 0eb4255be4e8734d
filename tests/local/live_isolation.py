"""Test files that leave the cluster as they found it, and workers with a cluster each. ``make isolation``.

The clusters are real, with pods; nothing of a mesh is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "cluster"))

from cluster_scene import IMAGES, SLEEP, RefusedError, Scene, Space, is_ready, shell
from test_pods_reach_each_other import APPS, ask, deployment, serving

from pytest_mesh.clusters.local import doctor
from pytest_mesh.clusters.local.cluster import LocalCluster

MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    doctor.require_local(envoy=False)
    cluster = LocalCluster.start("isolated", run_dir=tmp_path_factory.mktemp("cluster") / "isolated")
    try:
        cluster.add_images(IMAGES)
        scene = Scene(cluster)
        yield scene
        scene.close()
        for log in (cluster.directory / "logs").glob("*.log"):
            assert "Traceback" not in log.read_text(), f"{log.name}:\n{log.read_text()}"
    finally:
        cluster.down()


@pytest.fixture
def base(scene, request):
    """A namespace with a Deployment behind a Service, as a file's fixtures would make it; and a snapshot of that."""
    name = f"base-{abs(hash(request.node.name)) % 10**6}"
    scene.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    space = Space(scene, name)
    serving(space, "web")
    snapshot = scene.cluster.snapshot()
    yield space, snapshot
    scene.cluster.forget(snapshot)
    scene.call("DELETE", f"/api/v1/namespaces/{name}")


def available(scene, path, replicas=1):
    return scene.until(path, lambda one: one and (one["status"].get("availableReplicas") or 0) == replicas)


def test_what_a_file_made_is_gone_at_once_and_its_pods_processes_soon_after(base):
    space, snapshot = base
    scene = space.scene
    scene.call("POST", "/api/v1/namespaces", {"metadata": {"name": "late"}})
    late = Space(scene, "late")
    late.running("lone", shell(SLEEP))
    late.create("deployments", deployment("many", shell(SLEEP), 3), prefix=APPS)
    available(scene, late.path("deployments", "many", prefix=APPS), 3)
    web = scene.get(space.path("pods"))["items"]
    done = scene.cluster.restore(snapshot)
    print(json.dumps({"removed": done.removed, "seconds": done.seconds}))  # noqa: T201
    with pytest.raises(RefusedError):
        scene.get("/api/v1/namespaces/late")
    assert [pod for pod in scene.get("/api/v1/pods")["items"] if pod["metadata"]["namespace"] == "late"] == []
    assert [pod["metadata"]["uid"] for pod in scene.get(space.path("pods"))["items"]] == [
        pod["metadata"]["uid"] for pod in web
    ]
    # The node has let go of everything: the same name can be had again, and its pod runs.
    scene.call("POST", "/api/v1/namespaces", {"metadata": {"name": "late"}})
    late.running("lone", shell(SLEEP))
    scene.cluster.restore(snapshot)


def test_a_deployment_that_was_scaled_changed_or_deleted_runs_again_as_it_did(base):
    space, snapshot = base
    scene, path = space.scene, space.path("deployments", "web", prefix=APPS)
    for change in ("scale", "image", "delete"):
        if change == "scale":
            scene.call("PATCH", path, {"spec": {"replicas": 3}}, MERGE)
            available(scene, path, 3)
        elif change == "image":
            container = {**shell(SLEEP), "name": "app"}
            template = {"spec": {"containers": [container]}}
            scene.call("PATCH", path, {"spec": {"template": template}}, MERGE)
        else:
            scene.call("DELETE", path, propagationPolicy="Background")
            scene.call("DELETE", space.path("services", "web"))
            scene.until_gone(path)
        scene.cluster.restore(snapshot)
        scene.until(path, lambda one: one and one["spec"]["replicas"] == 1 and one["status"].get("readyReplicas") == 1)
        pod = space.finished(f"asks-after-{change}", ask("http://web"))
        assert pod["status"]["phase"] == "Succeeded", space.log(f"asks-after-{change}")
        scene.cluster.restore(snapshot)
        assert (
            len([one for one in scene.get(space.path("pods"))["items"] if one["metadata"]["name"].startswith("asks")])
            == 0
        )


def test_a_namespace_that_is_being_deleted_is_whole_again(base):
    space, snapshot = base
    scene = space.scene
    scene.call("DELETE", f"/api/v1/namespaces/{space.name}")
    done = scene.cluster.restore(snapshot)
    print(json.dumps({"made": done.made, "seconds": done.seconds}))  # noqa: T201
    assert scene.get(f"/api/v1/namespaces/{space.name}")["status"]["phase"] == "Active"
    available(scene, space.path("deployments", "web", prefix=APPS))
    pod = space.finished("asks", ask("http://web"))
    assert pod["status"]["phase"] == "Succeeded", space.log("asks")


def test_a_pod_that_was_killed_or_deleted_runs_again(base):
    space, _ = base
    scene = space.scene
    space.running("bare", shell(SLEEP))
    snapshot = scene.cluster.snapshot()
    for _ in range(2):
        scene.call("DELETE", space.path("pods", "bare"), gracePeriodSeconds=0)
        scene.cluster.restore(snapshot)
        again = scene.until(space.path("pods", "bare"), is_ready)
        assert again["status"]["containerStatuses"][0]["restartCount"] == 0
    scene.cluster.forget(snapshot)


CHECKS = """
import json, os, time
from pathlib import Path
import pytest

HERE = Path(__file__).parent

@pytest.mark.parametrize("n", range(3))
def test_names_and_addresses_are_ones_own(mesh, n):
    worker = os.environ["PYTEST_XDIST_WORKER"]
    told = {"name": mesh.cluster.name, "server": mesh.cluster.server, "dir": str(mesh.cluster.directory)}
    (HERE / f"{worker}.json").write_text(json.dumps(told))
    deadline = time.monotonic() + 60
    while len(list(HERE.glob("gw*.json"))) < 2:  # both run at once
        assert time.monotonic() < deadline
        time.sleep(0.02)
    mesh.kube.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": f"same-{n}"}})
    found = {one["metadata"]["name"] for one in mesh.kube.list("/api/v1/namespaces/default/configmaps")}
    assert {f"same-{k}" for k in range(n + 1)} <= found

@pytest.mark.mesh_namespace("shop")
def test_a_fixed_name_in_both_at_once(mesh_namespace):
    mesh_namespace.stand_in("reviews")
    assert mesh_namespace.client("tester").get("http://reviews").version == "v1"
"""
FILE = """
import pytest
pytestmark = pytest.mark.usefixtures("mesh_state")

def names(mesh):
    return {one["metadata"]["name"] for one in mesh.kube.list("/api/v1/namespaces/default/configmaps")}

def test_first(mesh, mesh_state):
    assert "left" not in names(mesh)
    mesh.kube.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "left"}})
    assert mesh_state.restore().removed == 1
    assert "left" not in names(mesh)
    mesh.kube.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "left"}})

def test_second(mesh):
    assert "left" in names(mesh)
"""


def run(folder, *arguments):
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--mesh-cluster=local",
        "--mesh-implementation=none",
    ]
    done = subprocess.run([*argv, *arguments], cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout + done.stderr


def test_two_workers_have_a_cluster_each_side_by_side(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(CHECKS)
    began = time.monotonic()
    code, output = run(tmp_path, "-n", "2", "--dist=loadfile", "--mesh-cluster-per-worker")
    assert code == 0, output
    print(json.dumps({"seconds": round(time.monotonic() - began, 1)}))  # noqa: T201
    told = [json.loads((tmp_path / f"gw{number}.json").read_text()) for number in (0, 1)]
    assert [one["name"].rpartition("-")[2] for one in told] == ["gw0", "gw1"]
    assert len({one["server"] for one in told}) == len({one["dir"] for one in told}) == 2
    assert "8 passed" in output
    # Neither outlives the run.
    assert not any(Path(one["dir"]).exists() for one in told)


def test_a_file_leaves_the_cluster_as_it_found_it(tmp_path):
    (tmp_path / "test_a.py").write_text(FILE)
    (tmp_path / "test_b.py").write_text(FILE)
    code, output = run(tmp_path)
    assert (code, "4 passed" in output) == (0, True), output


def test_workers_that_share_a_cluster_are_refused_a_snapshot(tmp_path):
    (tmp_path / "test_a.py").write_text(FILE)
    code, output = run(tmp_path, "-n", "2")
    assert code == 10, output
    assert "mesh_state: 2 workers share the cluster" in output
    assert "--mesh-cluster-per-worker" in output
