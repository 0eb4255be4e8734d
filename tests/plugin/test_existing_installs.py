"""``--mesh-install`` on somebody's cluster, and installations that were broken off: what is made, left, taken up and removed."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_mesh.contracts import Implementation
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import installer, removal
from pytest_mesh.implementations.installed import LABEL, Installed, Record
from pytest_mesh.kube import Kube
from pytest_mesh.liveness import Process

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: mesh-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mesh, namespace: mesh-system}
data: {key: value}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mesh}
"""
RECORD = "/api/v1/namespaces/{}/configmaps/pytest-mesh"


class Somebodys:
    """A cluster by its kubeconfig."""

    backend = "existing"
    name = "theirs"

    def __init__(self, kubeconfig, backend="existing"):
        self.kubeconfig = kubeconfig
        self.backend = backend

    def add_images(self, images, progress):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cluster")
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("fake_cluster.py")), str(directory)])
    while not (directory / "kubeconfig").exists():
        assert process.poll() is None
        time.sleep(0.005)
    yield directory / "kubeconfig"
    process.send_signal(signal.SIGTERM)
    process.wait()


@pytest.fixture
def kube(server):
    kube = Kube.load(server)
    yield kube
    for path in ("namespaces/mesh-system", "namespaces/pytest-mesh", "configmaps/pytest-mesh"):
        kube.delete(f"/api/v1/{path}")
    kube.delete(RECORD.format("kube-system"))
    kube.delete("/apis/rbac.authorization.k8s.io/v1/clusterroles/mesh")
    kube.delete("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/other-injector")
    kube.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualservices.networking.istio.io")


@pytest.fixture
def mesh(tmp_path):
    (tmp_path / "mesh.yaml").write_text(MANIFEST)
    return Implementation(name="mine", manifests=(str(tmp_path / "mesh.yaml"),))


def install(server, kube, mesh, backend="existing", process=""):
    said = []
    installer.install(Somebodys(server, backend), kube, mesh, said.append, process=process)
    return " ".join(said)


def there(kube):
    paths = (
        "/api/v1/namespaces/mesh-system",
        "/api/v1/namespaces/mesh-system/configmaps/mesh",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/mesh",
        "/api/v1/namespaces/pytest-mesh",
        RECORD.format("pytest-mesh"),
    )
    return [kube.find(path) for path in paths]


def test_everything_that_is_installed_carries_the_installations_label_and_is_removed(server, kube, mesh):
    install(server, kube, mesh)
    assert [one["metadata"]["labels"][LABEL] for one in there(kube)] == ["mine"] * 5
    assert kube.find(RECORD.format("kube-system")) is None

    assert removal.remove(kube, server, mesh, lambda _: None)

    assert there(kube) == [None] * 5
    assert not removal.remove(kube, server, mesh, lambda _: None)


def test_trust_bundles_that_came_with_the_mesh_go_with_it_and_older_ones_stay(server, kube, mesh):
    mesh = dataclasses.replace(mesh, root_config_map=("roots", "root.pem"))
    bundle = {"apiVersion": "v1", "kind": "ConfigMap"}
    install(server, kube, mesh)
    path = RECORD.format("pytest-mesh")
    record = kube.find(path)
    kube.apply({**record, "metadata": {**record["metadata"], "creationTimestamp": "2026-01-02T00:00:00Z"}})
    for place, born in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-01-03T00:00:00Z")):
        metadata = {"name": "roots", "namespace": place, "creationTimestamp": born}
        kube.apply({**bundle, "metadata": metadata})

    removal.remove(kube, server, mesh, lambda _: None)

    assert kube.find("/api/v1/namespaces/new/configmaps/roots") is None
    assert kube.find("/api/v1/namespaces/old/configmaps/roots") is not None


def test_what_somebody_took_over_is_left_and_told(server, kube, mesh):
    install(server, kube, mesh)
    kube.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "mesh"}})

    with pytest.raises(Infrastructure, match="ClusterRole mesh is left: it does not carry"):
        removal.remove(kube, server, mesh, lambda _: None)

    assert [one is not None for one in there(kube)] == [False, False, True, True, True]


@pytest.mark.parametrize("backend", ["existing", "kind"])
def test_half_an_installation_is_completed_and_not_taken_for_somebody_elses(server, kube, mesh, monkeypatch, backend):
    written = []
    apply = Kube.apply

    def killed(self, document, **options):
        if document["kind"] == "ClusterRole":
            raise KeyboardInterrupt
        written.append(document["kind"])
        return apply(self, document, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Kube, "apply", killed)
        with pytest.raises(KeyboardInterrupt):
            install(server, kube, mesh, backend)
    assert written[0] == "ConfigMap", "the record comes before the first object"

    assert "was left half installed: going on with it" in install(server, kube, mesh, backend)
    assert all(there(kube)[:3])
    assert "is installed already" in install(server, kube, mesh, backend)


def test_an_installation_that_was_killed_before_its_first_object_is_begun_anew(server, kube, mesh):
    record = Record.of("mine", guest=True)
    record.make_room(kube, "mine")
    record.write(kube, Installed(name="mine", digest=""))

    install(server, kube, mesh)

    assert {one.kind for one in record.read(kube).made} == {"Namespace", "ConfigMap", "ClusterRole"}


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "other-injector"},
                "webhooks": [{"name": "inject.other", "rules": [{"resources": ["pods"]}]}],
            },
            "webhook other-injector/inject.other",
        ),
        (
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "virtualservices.networking.istio.io"},
            },
            "CustomResourceDefinition virtualservices.networking.istio.io",
        ),
        (
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "mesh"}},
            "ClusterRole mesh",
        ),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_installed(server, kube, mesh, held, name):
    kube.apply(held)

    with pytest.raises(Infrastructure, match=rf"--mesh-install: refused, .*'theirs' has what no run installed: {name}"):
        install(server, kube, mesh)

    assert kube.find("/api/v1/namespaces/mesh-system") is None
    assert kube.find("/api/v1/namespaces/pytest-mesh") is None


def test_another_implementations_installation_is_told_with_the_way_to_remove_it(server, kube, mesh):
    record = Record.of("yours", guest=True)
    record.write(kube, Installed(name="yours", digest="1"))

    with pytest.raises(Infrastructure, match=r"has implementation 'yours' .*pytest-mesh implementation remove yours"):
        install(server, kube, mesh)


@pytest.mark.parametrize(
    ("process", "kept", "adopted"),
    [
        ("mine", False, True),
        ("mine", True, False),
        (str(Process.of(os.getpid())), False, False),
        (str(Process(host=Process.of(1).host, pid=2**22 + 1, started=1)), False, True),
        ("another/1 1 1", False, False),
        ("", False, False),
    ],
    ids=["mine", "mine-kept", "living", "dead", "another-machines", "nobodys"],
)
def test_a_run_removes_what_it_installed_or_a_dead_run_left_and_no_living_runs_mesh(kube, process, kept, adopted):
    record = Record.of("mine", guest=True)
    record.write(kube, Installed(name="mine", digest="1", process=process, kept=kept))

    assert removal.adopt(kube, Implementation(name="mine"), "mine") is adopted
    assert record.read(kube).process == ("mine" if adopted else process)
