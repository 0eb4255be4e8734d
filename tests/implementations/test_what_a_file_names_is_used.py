"""What a file names for evidence and for revisions is used: the config dump's command, the control plane's logs, the label."""

from __future__ import annotations

import json
import stat
import sys
from types import SimpleNamespace

import pytest

from pytest_mesh.contracts import REVISION_LABEL, Implementation
from pytest_mesh.implementations.loader import load
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.record import Record
from pytest_mesh.report import bundle
from pytest_mesh.settings import MeshSettings

PRINTS = "import json, sys; print(json.dumps({'for': sys.argv[1:], 'password': 'hunter2'}))"
POD = {"metadata": {"name": "web-0"}, "spec": {"containers": [{"name": "web"}, {"name": "acme-proxy"}]}}
VIRTUAL_SERVICE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "x"},
    "spec": {},
}


def namespace(implementation, **members):
    given = {"record": Record(), "settings": MeshSettings(mark_routes=True), "kube": None}
    cluster = SimpleNamespace(kubeconfig="kubeconfig")
    return MeshNamespace("shop", cluster=cluster, implementation=implementation, **{**given, **members})


def test_the_config_dumps_command_gets_pod_and_namespace_and_its_secrets_are_taken_out():
    command = (sys.executable, "-c", PRINTS, "{pod}.{namespace}", "{pod}")
    acme = Implementation(name="acme", proxy_container="acme-proxy", config_dump_command=command)

    text = bundle._told_by_command(namespace(acme), "web-0")

    assert json.loads(text)["for"] == ["web-0.shop", "web-0"]
    assert "hunter2" not in text


def test_the_logs_of_the_control_plane_are_saved_for_nobody_else_to_read(kube, tmp_path):
    kube.put("/api/v1/namespaces/acme-system/pods/acmed-0", spec={"containers": [{"name": "discovery"}]})

    bundle.save_control_plane(tmp_path, kube, Implementation(name="acme", namespace="acme-system"))

    saved = tmp_path / "control-plane"
    assert (saved / "acmed-0-discovery.log").read_text() == "oh no\n"
    assert {stat.S_IMODE(one.stat().st_mode) for one in saved.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("mark_routes", "revision", "labels"),
    [(True, "r2", {REVISION_LABEL: "r2"}), (False, "r2", None), (True, "", None)],
    ids=["the suite's own", "a user's", "no revision"],
)
def test_only_the_suites_own_objects_get_the_revisions_label(mark_routes, revision, labels):
    one = namespace(Implementation(name="acme", revision=revision), settings=MeshSettings(mark_routes=mark_routes))

    assert one._of_revision(VIRTUAL_SERVICE)["metadata"].get("labels") == labels
    assert "labels" not in one._of_revision({**VIRTUAL_SERVICE, "apiVersion": "v1"})["metadata"]


def test_a_revision_labels_namespaces(tmp_path):
    text = 'format = 1\n[implementation]\nname = "acme"\n[install]\nalready_there = true\n'
    text += '[injection]\nrevision = "r2"\nlabels = { zone = "a" }\nproxy_container = "p"\n'
    (tmp_path / "acme.toml").write_text(text)

    assert load(tmp_path / "acme.toml").injection_labels == {"zone": "a", REVISION_LABEL: "r2"}
