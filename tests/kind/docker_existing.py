"""Somebody's cluster, for which a kind cluster stands (``make kind``): the rights that ``pytest-mesh rbac`` prints, and no others.

The cluster is made, and a mesh is put on it, with an administrator's rights. The runs
under test have the kubeconfig of the ServiceAccount. What is compared before and
after is every object of every kind that the API server lists.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest

from pytest_mesh import documents
from pytest_mesh.clusters.kind.cluster import KindCluster
from pytest_mesh.implementations import installer
from pytest_mesh.implementations.loader import load
from pytest_mesh.implementations.registry import find
from pytest_mesh.kube import Kube, KubeError

_spec = importlib.util.spec_from_file_location("registry_server", Path(__file__).with_name("registry_server.py"))
registry_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(registry_server)

NAME = os.environ.get("MESH_EXISTING_NAME") or f"mesh-existing-{os.getpid()}"
ROOT = Path(__file__).parents[2]
CERTS = "/etc/containerd/certs.d"
OWNED = "pytest-mesh.dev/owned=true"
UNSTABLE = {"events", "componentstatuses"}
"""Kinds whose objects come and go without anybody's doing."""
WAITING = """
import time
from pathlib import Path


def test_waiting(mesh_namespace):
    mesh_namespace.stand_in("reviews")
    Path("running").write_text(mesh_namespace.name)
    while not Path("enough").exists():
        time.sleep(0.1)
"""
SHORT = """
def test_short(mesh_namespace):
    mesh_namespace.stand_in("reviews")
    assert mesh_namespace.client().get("http://reviews").version == "v1"
"""


MANY = """
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(4))
def test_many(mesh_namespace, number):
    mesh_namespace.stand_in("reviews")
    labels = mesh_namespace.kube.get(f"/api/v1/namespaces/{mesh_namespace.name}")["metadata"]["labels"]
    with Path("runs").open("a") as file:
        file.write(labels["pytest-mesh.dev/run"] + "\\n")
"""


@pytest.fixture(scope="session")
def cluster():
    made = KindCluster.find(NAME) or KindCluster.start(
        NAME, image=os.environ.get("MESH_KIND_IMAGE", ""), progress=print
    )
    yield made
    if not os.environ.get("MESH_EXISTING_KEEP"):
        made.down()


@pytest.fixture(scope="session")
def admin(cluster):
    return Kube.load(cluster.kubeconfig)


@pytest.fixture(scope="session")
def reference():
    return load(find("reference").path)


@pytest.fixture(scope="session")
def meshed(cluster, admin, reference):
    """The cluster with the reference on it, by an administrator's hand."""
    installer.install(cluster, admin, reference, print)
    deadline = time.monotonic() + 60
    while owned(admin):  # where it looked whether the mesh injects
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return cluster


def mesh_command(cluster, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest_mesh.cli", "rbac", *arguments],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def account(cluster, admin, directory, *arguments, name="pytest-mesh"):
    """Apply what ``pytest-mesh rbac`` prints; give a kubeconfig of the account."""
    for document in documents.parse(mesh_command(cluster, *arguments, "--name", name)):
        admin.apply(document)
    path = directory / f"{name}.kubeconfig"
    path.write_text(mesh_command(cluster, "kubeconfig", "--name", name, "--duration", "2h"))
    return path


@pytest.fixture(scope="session")
def limited(meshed, admin, tmp_path_factory):
    return account(meshed, admin, tmp_path_factory.mktemp("account"))


def objects(kube):
    """Give every object that there is: collection, namespace, name, uid."""
    versions = ["/api/v1"] + [
        f"/apis/{group['preferredVersion']['groupVersion']}" for group in kube.get("/apis")["groups"]
    ]
    found = set()
    for version in versions:
        for kind in kube.get(version)["resources"]:
            if "list" in kind["verbs"] and kind["name"] not in UNSTABLE:
                path = f"{version}/{kind['name']}"
                for one in kube.list(path):
                    metadata = one["metadata"]
                    found.add((path, metadata.get("namespace", ""), metadata["name"], metadata["uid"]))
    return found


def assert_unchanged(kube, before):
    """Hold what is there against what was; what the API server itself clears up (APIServices of kinds) has a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            after = objects(kube)
        except KubeError as error:
            if error.status != 404:  # a kind that is just going
                raise
            after = set()
        if after == before or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert after - before == set(), "left behind"
    assert before - after == set(), "gone"


def run(directory, kubeconfig, *arguments, text=""):
    if text:
        (directory / "test_it.py").write_text(text)
    given = ["--mesh-cluster=existing", f"--mesh-kubeconfig={kubeconfig}", "--mesh-implementation=reference"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *given, *arguments],
        cwd=directory,
        env={key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process):
    output, _ = process.communicate()
    sys.stdout.write(output)
    return process.returncode, output


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return path.read_text()


def owned(kube):
    return sorted(one["metadata"]["name"] for one in kube.list("/api/v1/namespaces", labelSelector=OWNED))


@pytest.mark.timeout(600)
def test_an_installation_that_was_asked_for_leaves_nothing_of_itself(cluster, admin, reference, tmp_path):
    cluster.add_images(installer.images_of(reference), print)
    kubeconfig = account(cluster, admin, tmp_path, "--install", name="installer")
    before = objects(admin)

    code, output = finished(run(tmp_path, kubeconfig, "--mesh-install", text=SHORT))

    assert code == 0, output
    assert "mesh: reference is removed in" in output
    assert_unchanged(admin, before)


@pytest.mark.timeout(900)
def test_the_suite_passes_with_the_printed_rights_and_leaves_nothing(meshed, admin, limited, tmp_path):
    before = objects(admin)

    code, output = finished(run(tmp_path, limited, "--pyargs", "mesh_conformance", "-q", "--mesh-report=report.yaml"))

    assert_unchanged(admin, before)
    assert code == 0, output
    report = documents.load((tmp_path / "report.yaml").read_text())
    assert {profile["core"]["result"] for profile in report["profiles"]} == {"success"}


@pytest.mark.timeout(300)
def test_two_workers_are_one_run_and_leave_nothing(meshed, admin, limited, tmp_path):
    before = objects(admin)

    code, output = finished(run(tmp_path, limited, "-n2", text=MANY))

    assert code == 0, output
    assert "4 passed" in output
    assert len(set((tmp_path / "runs").read_text().split())) == 1
    assert_unchanged(admin, before)


@pytest.mark.timeout(600)
def test_a_killed_runs_leavings_are_removed_by_the_next_and_a_living_runs_are_not(meshed, admin, limited, tmp_path):
    before = objects(admin)
    places = {name: tmp_path / name for name in ("killed", "living", "next")}
    for place in places.values():
        place.mkdir()
    killed = run(places["killed"], limited, text=WAITING)
    living = run(places["living"], limited, text=WAITING)
    left = wait_for(places["killed"] / "running", killed)
    alive = wait_for(places["living"] / "running", living)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert owned(admin) == sorted([left, alive])

    code, output = finished(run(places["next"], limited, text=SHORT))

    assert code == 0, output
    assert f"ended without cleaning up: removing its namespaces {left}" in output
    assert owned(admin) == [alive]
    (places["living"] / "enough").touch()
    assert finished(living)[0] == 0
    assert_unchanged(admin, before)


def test_the_account_may_do_nothing_outside_its_own_namespaces(meshed, admin, limited):
    kube = Kube.load(limited)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pytest-mesh-namespace"}
    binding = {"metadata": {"name": "x"}, "roleRef": role, "subjects": []}
    forbidden = [
        ("GET", "/api/v1/namespaces/kube-system/secrets", None),
        ("GET", "/api/v1/namespaces/istio-system/secrets/pytest-mesh", None),
        ("GET", "/api/v1/namespaces/default/pods", None),
        ("DELETE", "/api/v1/namespaces/default", None),
        ("DELETE", "/api/v1/namespaces/istio-system", None),
        ("PATCH", "/api/v1/namespaces/istio-system", {"metadata": {"labels": {"pytest-mesh.dev/owned": "true"}}}),
        ("POST", "/api/v1/namespaces", {"metadata": {"name": "unlabelled"}}),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings", binding),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "x"}}),
        ("POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "x"}}),
    ]
    for method, path, body in forbidden:
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        with pytest.raises(KubeError) as caught:
            kube.json(method, path, body=body, content_type=content)
        assert caught.value.status in {403, 422}, (method, path, str(caught.value))
    assert kube.json("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-secret")["kind"] == "Secret"


def test_a_right_that_was_taken_away_is_named_and_the_run_ends_with_10(meshed, admin, limited, tmp_path):
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/pytest-mesh-namespace"
    rules = admin.get(path)["rules"]
    short = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "watch"]} for rule in rules]
    merge = "application/merge-patch+json"
    admin.json("PATCH", path, body={"rules": short}, content_type=merge)
    try:
        code, output = finished(run(tmp_path, limited, text=SHORT))
    finally:
        admin.json("PATCH", path, body={"rules": rules}, content_type=merge)

    assert code == 10
    assert "mesh: infrastructure: not allowed: watch pods (in its own namespace mesh-" in output
    assert owned(admin) == []


def test_an_installation_is_refused_where_a_mesh_is_and_what_is_there_is_named(meshed, admin, tmp_path):
    before = objects(admin)

    code, output = finished(run(tmp_path, meshed.kubeconfig, "--mesh-install", text=SHORT))

    assert code == 10, output
    assert "istio-sidecar-injector" in output
    assert "virtualservices.networking.istio.io" in output
    assert_unchanged(admin, before)


@pytest.fixture
def registry(meshed, tmp_path):
    """A registry beside the node, by a name that Docker may push to and the node's containerd may pull from over HTTP."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    gateway = subprocess.run(
        ["docker", "network", "inspect", "kind", "--format", template], capture_output=True, text=True, check=True
    ).stdout.strip()
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    served = registry_server.Registry("0.0.0.0", blobs)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    served.name = f"127.0.0.1:{served.server_port}"
    hosts = f'[host."http://{gateway}:{served.server_port}"]\n  capabilities = ["pull", "resolve"]\n'
    command = f"mkdir -p {CERTS}/{served.name} && cat > {CERTS}/{served.name}/hosts.toml"
    node = f"{meshed.name}-control-plane"
    subprocess.run(["docker", "exec", "-i", node, "sh", "-c", command], input=hosts, text=True, check=True)
    login = b64encode(f"{registry_server.USER}:{registry_server.PASSWORD}".encode()).decode()
    served.login = tmp_path / "docker" / "config.json"
    served.login.parent.mkdir()
    served.login.write_text(json.dumps({"auths": {served.name: {"auth": login}}}))
    yield served
    served.shutdown()
    served.server_close()


@pytest.mark.timeout(600)
def test_images_are_pushed_to_a_registry_and_pulled_by_the_pull_secret(meshed, limited, registry, tmp_path):
    place = ["--registry", f"{registry.name}/team", "--tag", "lane"]
    docker = {**os.environ, "DOCKER_CONFIG": str(registry.login.parent)}
    command = [sys.executable, "-m", "pytest_mesh.cli", "images", "push", *place]
    pushed = subprocess.run(command, env=docker, capture_output=True, text=True, check=False)
    assert pushed.returncode == 0, pushed.stderr
    given = [f"--mesh-image-registry={registry.name}/team", "--mesh-image-tag=lane"]

    code, output = finished(run(tmp_path, limited, *given, text=SHORT))
    assert code == 1, output
    assert "ErrImagePull" in output or "ImagePullBackOff" in output
    assert registry.pulled == []

    code, output = finished(run(tmp_path, limited, *given, f"--mesh-image-pull-secret={registry.login}", text=SHORT))
    assert code == 0, output
    assert registry.pulled[0] == "team/pytest-mesh/workload"
    subprocess.run(["docker", "image", "rm", pushed.stdout.split()[-1]], capture_output=True, check=True)
