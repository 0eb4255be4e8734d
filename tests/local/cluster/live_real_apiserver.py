"""The embedded node and controllers on a real kube-apiserver, started inside the node's namespaces. `make workloads-live`."""

import contextlib
import os

import pytest
from cluster_scene import IMAGES, SLEEP, Scene, Space, python, shell

from pytest_mesh.clusters.local.cluster import LocalCluster, LocalClusterError

APPS, BATCH = "/apis/apps/v1", "/apis/batch/v1"
WEB = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"web")
http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
ASK = """
import urllib.request
assert urllib.request.urlopen("http://web:80", timeout=10).read() == b"web"
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not {"MESH_KUBE_APISERVER", "MESH_ETCD"} <= os.environ.keys():
        pytest.skip("needs MESH_KUBE_APISERVER and MESH_ETCD")
    assets = tmp_path_factory.mktemp("assets")
    for name, variable in (("kube-apiserver", "MESH_KUBE_APISERVER"), ("etcd", "MESH_ETCD")):
        (assets / name).symlink_to(os.environ[variable])
    cluster = LocalCluster.start("real", run_dir=tmp_path_factory.mktemp("cluster") / "real", assets=assets)
    try:
        cluster.add_images(IMAGES)
        with contextlib.closing(Scene(cluster)) as scene:
            yield scene
        assert "Traceback" not in (cluster.directory / "logs" / "node.log").read_text()
    finally:
        cluster.down()


@pytest.fixture
def place(real):
    real.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    real.until("/api/v1/namespaces/shop/serviceaccounts/default", lambda account: account is not None)
    yield Space(real, "shop")
    real.call("DELETE", "/api/v1/namespaces/shop")
    real.until_gone("/api/v1/namespaces/shop")


def test_workloads_run_and_reach_each_other_through_a_service(real, place):
    version = real.get("/version")
    assert version["gitVersion"].startswith("v1.")
    assert "mesh" not in version["gitVersion"]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [python(WEB)]}}
    template["spec"]["terminationGracePeriodSeconds"] = 1
    template["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    place.create("deployments", {"metadata": {"name": "web"}, "spec": spec}, APPS)
    ports = [{"port": 80, "targetPort": 8080}]
    place.create("services", {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}})
    real.until(place.path("deployments", "web", prefix=APPS), lambda obj: obj["status"].get("availableReplicas") == 2)

    inner = {"restartPolicy": "Never", "containers": [python(ASK)]}
    place.create("jobs", {"metadata": {"name": "ask"}, "spec": {"template": {"spec": inner}}}, BATCH)
    done = real.until(
        place.path("jobs", "ask", prefix=BATCH),
        lambda obj: obj["status"].get("succeeded") or obj["status"].get("failed"),
    )
    assert done["status"].get("succeeded") == 1, done["status"]


def test_a_projected_token_is_the_real_servers(real, place):
    source = {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 3600}}
    container = shell(
        "grep -q . /t/token && " + SLEEP,
        volumeMounts=[{"name": "token", "mountPath": "/t"}],
    )
    place.running("token", container, volumes=[{"name": "token", "projected": {"sources": [source]}}])


def test_a_folder_without_the_programs_is_refused(tmp_path):
    with pytest.raises(LocalClusterError, match="has no program kube-apiserver, etcd"):
        LocalCluster.start("none", run_dir=tmp_path / "none", assets=tmp_path)
