"""The commands of kubectl that people use, against a real cluster."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request

import pytest
from cluster_scene import SHELL, SLEEP

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "app", "image": SHELL, "command": ["/bin/sh", "-c", "echo up; " + SLEEP]}],
            },
        },
    },
}


@pytest.fixture
def kubectl(space):
    environment = {**os.environ, "KUBECONFIG": str(space.scene.cluster.kubeconfig)}

    def run(*arguments, given=None):
        done = subprocess.run(
            ["kubectl", "-n", space.name, *arguments],
            input=given,
            capture_output=True,
            text=True,
            env=environment,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.environment = environment
    return run


def test_a_deployment_is_applied_watched_shown_entered_and_deleted(kubectl):
    manifest = json.dumps(DEPLOYMENT)
    assert kubectl("apply", "-f", "-", given=manifest) == "deployment.apps/web created\n"
    assert kubectl("apply", "-f", "-", given=manifest) == "deployment.apps/web unchanged\n"
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=10s")

    table = kubectl("get", "pods").splitlines()
    assert table[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert table[1].split()[1:4] == ["1/1", "Running", "0"]

    described = kubectl("describe", "pod", "-l", "app=web")
    assert "Started container app" in described
    assert "Successfully assigned" in described
    assert kubectl("logs", "deployment/web") == "up\n"
    assert kubectl("exec", "deployment/web", "--", "sh", "-c", "echo inside") == "inside\n"
    assert kubectl("exec", "-i", "deployment/web", "--", "cat", given="through\n") == "through\n"

    assert kubectl("scale", "deployment/web", "--replicas=2") == "deployment.apps/web scaled\n"
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=10s")
    assert len(kubectl("get", "pods", "-o", "name").split()) == 2
    assert kubectl("delete", "deployment", "web") == 'deployment.apps "web" deleted\n'


def test_apply_on_the_server_creates_and_does_not_change_twice(kubectl):
    manifest = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}})

    assert kubectl("apply", "--server-side", "-f", "-", given=manifest) == "configmap/c serverside-applied\n"
    first = json.loads(kubectl("get", "configmap", "c", "-o", "json"))
    kubectl("apply", "--server-side", "-f", "-", given=manifest)

    assert json.loads(kubectl("get", "configmap", "c", "-o", "json")) == first


def test_everything_is_listed_and_explained(kubectl):
    assert "pods" in kubectl("api-resources")
    assert "mesh-node" in kubectl("get", "nodes")
    assert "kube-dns" in kubectl("get", "all", "-A")
    assert "KIND:       Pod" in kubectl("explain", "pod.spec.containers")


def test_a_port_is_forwarded(kubectl, space):
    script = (
        "import http.server; http.server.ThreadingHTTPServer(('127.0.0.1', 8080),"
        " http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    probe = {"exec": {"command": ["/bin/sh", "-c", "grep -q :1F90 /proc/net/tcp"]}, "periodSeconds": 1}
    container = {"name": "app", "image": "tests/python", "args": ["-c", script], "readinessProbe": probe}
    space.running("serves", {**container, "workingDir": "/etc/iproute2"})
    forward = subprocess.Popen(
        ["kubectl", "-n", space.name, "port-forward", "pod/serves", ":8080"],
        stdout=subprocess.PIPE,
        text=True,
        env=kubectl.environment,
    )
    try:
        line = forward.stdout.readline()
        port = line.split("127.0.0.1:")[1].split()[0]
        for _ in range(3):
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{port}/", timeout=5
            ) as answer:
                assert "Directory listing" in answer.read().decode()
    finally:
        forward.send_signal(signal.SIGINT)
        forward.communicate(timeout=5)
