"""The kind backend with Docker (``make kind``): one cluster, both fixtures, an interrupt that leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_mesh.clusters.kind import state

BOTH = """
import yaml


def test_both(mesh_cluster, kind_cluster, pytestconfig):
    theirs = mesh_cluster.pytest_kind
    assert type(theirs) is type(kind_cluster)
    assert theirs.name == kind_cluster.name == mesh_cluster.name
    assert theirs.kubeconfig_path == mesh_cluster.kubeconfig
    server = yaml.safe_load(mesh_cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    assert theirs.api.url == server
"""
WAITING = """
import time
from pathlib import Path


def test_waiting(mesh_cluster):
    Path("running").touch()
    time.sleep(60)
"""

TWO_NODES = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
"""
ON_THE_WORKER = """
def test_on_the_worker(mesh_namespace):
    mesh_namespace.stand_in("reviews", versions=["v1"])
    client = mesh_namespace.client("tester")
    assert client.get("http://reviews").status == 200


def test_in_another_worker_process(mesh_cluster):
    assert mesh_cluster.name
"""


def clusters() -> list[str]:
    return subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()


def nodes(name: str) -> list[str]:
    containers = ["docker", "ps", "--filter", f"label=io.x-k8s.kind.cluster={name}", "--format", "{{.Names}}"]
    return subprocess.run(containers, capture_output=True, text=True, check=True).stdout.split()


def run(directory: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    (directory / "test_it.py").write_text(text)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--mesh-cluster=kind", *arguments],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


@pytest.mark.timeout(400)
def test_pytest_kinds_cluster_and_its_fixture_are_usable_beside_ours(tmp_path):
    pytest.importorskip("pytest_kind")
    name = f"both-{os.getpid()}"

    theirs = [
        *(f"--cluster-name={name}", "--keep-cluster", f"--kind-bin={shutil.which('kind')}"),
        f"--kubeconfig={state.directory_of(name)}/kubeconfig",
    ]
    process = run(tmp_path, BOTH, f"--mesh-cluster-name={name}", *theirs)
    output, _ = process.communicate()

    assert process.returncode == 0, output
    assert name not in clusters()


@pytest.mark.timeout(400)
def test_an_interrupt_leaves_no_cluster(tmp_path):
    process = run(tmp_path, WAITING)
    name = f"pytest-mesh-{process.pid}"
    deadline = time.monotonic() + 300
    while not (tmp_path / "running").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert name in clusters()

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()

    assert process.returncode == 2, output
    assert name not in clusters()


@pytest.mark.timeout(500)
def test_two_workers_share_one_cluster_of_several_nodes(tmp_path):
    pytest.importorskip("xdist")
    (tmp_path / "two.yaml").write_text(TWO_NODES)
    name = f"nodes-{os.getpid()}"

    options = ["-n2", f"--mesh-cluster-name={name}", "--mesh-kind-config=two.yaml", "--mesh-implementation=reference"]
    process = run(tmp_path, ON_THE_WORKER, *options)
    seen: set[str] = set()
    deadline = time.monotonic() + 450
    while time.monotonic() < deadline:
        try:
            output, _ = process.communicate(timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            seen.update(nodes(name))

    assert process.returncode == 0, output
    assert seen == {f"{name}-control-plane", f"{name}-worker"}
    assert name not in clusters()
