"""Whole runs on somebody's cluster (``--mesh-cluster=existing``): what they say, what they leave, what they clear up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pytest_mesh.clusters.existing.leavings import BY, PROCESS
from pytest_mesh.lifetime import OWNER_LABEL, RUN_LABEL
from pytest_mesh.liveness import Process

ACCOUNT = "system:serviceaccount:pytest-mesh:pytest-mesh"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/pytest-mesh"


class Guest:
    """A project whose cluster is somebody's: the fake API, started by nobody's backend."""

    def __init__(self, project):
        self.project = project
        self.path = project.path
        self.directory = project.path / "somebody"
        self.directory.mkdir()
        self._server = None

    def holds(self, **objects):
        """Put objects by their API path; to be called before ``run``."""
        (self.directory / "objects.json").write_text(json.dumps(objects))

    def denies(self, *lines):
        (self.directory / "denied").write_text("\n".join(lines))

    def start(self):
        fake = Path(__file__).with_name("fake_cluster.py")
        self._server = subprocess.Popen([sys.executable, str(fake), str(self.directory)])
        while not self.kubeconfig.exists():
            assert self._server.poll() is None
            time.sleep(0.005)

    @property
    def kubeconfig(self):
        return self.directory / "kubeconfig"

    def run(self, text, *arguments):
        self.project.pytester.makepyfile(text)
        if self._server is None:
            self.start()
        given = ("--mesh-cluster=existing", f"--mesh-kubeconfig={self.kubeconfig}")
        return self.project.run(*given, "--mesh-implementation=fake", *arguments)

    @property
    def namespaces(self):
        server = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        with urllib.request.urlopen(f"{server}/api/v1/namespaces") as answer:
            return sorted(one["metadata"]["name"] for one in json.load(answer)["items"])

    def close(self):
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait()


@pytest.fixture
def guest(project):
    made = Guest(project)
    yield made
    made.close()


def namespace(name, *, process, by=ACCOUNT):
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": name,
            "labels": {OWNER_LABEL: "true", RUN_LABEL: "0badf00d"},
            "annotations": {BY: by, PROCESS: process},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
    }


def test_a_run_tells_which_cluster_it_uses_and_whose_its_namespaces_are_and_leaves_nothing(guest):
    result = guest.run(
        f"""
        import os
        def test_one(mesh_namespace):
            found = mesh_namespace.kube.get(f"/api/v1/namespaces/{{mesh_namespace.name}}")["metadata"]
            assert found["labels"]["{OWNER_LABEL}"] == "true"
            assert found["annotations"]["{BY}"] == "{ACCOUNT}"
            assert found["annotations"]["{PROCESS}"].split()[1] == str(os.getpid())
            lease = mesh_namespace.get("coordination.k8s.io/v1", "Lease", "pytest-mesh")
            assert lease["spec"]["holderIdentity"] == found["labels"]["{RUN_LABEL}"]
        """
    )

    assert result.ret == 0
    result.stdout.fnmatch_lines([f"mesh: cluster: context 'fake' of {guest.kubeconfig}: http://127.0.0.1:*"])
    assert guest.namespaces == []


def test_a_test_that_would_change_what_is_not_the_runs_own_is_stopped(guest):
    result = guest.run(
        """
        CM = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "istio-system"}}
        def test_one(mesh_namespace):
            mesh_namespace.apply(CM, dry_run=True)
            mesh_namespace.apply(CM)
        """
    )

    assert result.ret == 10
    result.stdout.fnmatch_lines(
        [
            "mesh: infrastructure: ConfigMap x is in namespace 'istio-system', which is not this run's: on --mesh-cluster*"
        ]
    )


def test_a_killed_runs_namespaces_are_removed_by_the_next_run_which_says_so_and_no_others(guest):
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    gone = str(Process.of(process.pid))
    process.communicate(b"\n")
    held = {
        "mesh-left-a": namespace("mesh-left-a", process=gone),
        "mesh-left-b": namespace("mesh-left-b", process=gone),
        "mesh-alive": namespace("mesh-alive", process=str(Process.of(os.getpid()))),
        "mesh-foreign": namespace("mesh-foreign", process=gone, by="somebody else"),
        "mesh-kept": namespace("mesh-kept", process=gone),
    }
    guest.holds(
        **{f"/api/v1/namespaces/{name}": one for name, one in held.items()},
        **{LEASE.format("mesh-kept"): {"metadata": {"name": "x", "annotations": {"pytest-mesh.dev/kept": "true"}}}},
    )

    result = guest.run("def test_one(mesh_namespace): pass")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["mesh: cluster: run 0badf00d ended without cleaning up: removing its namespaces mesh-left-a, mesh-left-b"]
    )
    assert guest.namespaces == ["mesh-alive", "mesh-foreign", "mesh-kept"]


def test_a_kept_namespace_is_named_with_the_way_to_remove_it_and_no_later_run_removes_it(guest):
    result = guest.run("def test_one(mesh_namespace): assert False", "--mesh-keep=on-failure")

    assert result.ret == 1
    (kept,) = guest.namespaces
    result.stdout.fnmatch_lines(
        [f"mesh: cluster: kept: namespaces {kept}; remove them with: kubectl delete namespace -l pytest-mesh.dev/run=*"]
    )
    assert guest.run("def test_one(mesh_namespace): pass").ret == 0
    assert guest.namespaces == [kept]


def test_each_right_that_is_missing_is_a_line_and_exit_code_10(guest):
    guest.denies("create namespaces", "delete namespaces", "create pods unbound", "bind clusterroles")

    result = guest.run("def test_one(mesh_namespace): pass")

    assert result.ret == 10
    result.stdout.fnmatch_lines(
        [
            "mesh: infrastructure: not allowed: create namespaces (cluster-wide)",
            "not allowed: delete namespaces (cluster-wide)",
            "not allowed: bind clusterroles.rbac.authorization.k8s.io pytest-mesh-namespace (cluster-wide)",
            "`pytest-mesh rbac` prints the rights that a run needs, and how to give them",
        ]
    )


def test_an_account_that_may_little_binds_its_role_in_its_own_namespaces(guest):
    guest.denies("create pods unbound", "get secrets istio-system")
    with (guest.path / "fake.toml").open("a") as file:
        file.write('[identity]\nroot_secret = ["istio-system", "ca", "ca-cert.pem"]\n')

    result = guest.run(
        """
        def test_one(mesh_namespace):
            found = mesh_namespace.get("rbac.authorization.k8s.io/v1", "RoleBinding", "pytest-mesh")
            assert found["roleRef"]["name"] == "pytest-mesh-namespace"
            assert found["subjects"] == [{"kind": "ServiceAccount", "namespace": "pytest-mesh", "name": "pytest-mesh"}]
        def test_two(mesh): mesh.needs("root_secret")
        """
    )

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["mesh: mesh: not allowed: get secrets ca (in istio-system): what needs root_secret is not applicable"]
    )
