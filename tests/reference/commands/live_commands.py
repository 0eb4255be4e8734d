"""The commands against a running mesh. Not among the quick tests: it brings up the embedded cluster.

``make commands-live``. istioctl's own proxy-status is asked where MESH_ISTIO_BIN or PATH has an istioctl.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mesh_reference.cli import main

RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {x-version: {exact: v2}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route: [{destination: {host: reviews, subset: v1}}]
"""
REFUSED = {
    "invalid host * [V56b]": ("networking", "ServiceEntry", {"hosts": ["*"]}),
    "bad port (http): want a number from 0 to 65535 [V63n]": (
        "security",
        "AuthorizationPolicy",
        {"rules": [{"to": [{"operation": {"ports": ["http"]}}]}]},
    ),
    'endpoint address "a_b" is not a valid FQDN or an IP address [V61e]': (
        "networking",
        "WorkloadEntry",
        {"address": "a_b"},
    ),
}

ISTIOCTL = shutil.which(
    "istioctl", path=os.pathsep.join([os.environ.get("MESH_ISTIO_BIN", ""), os.environ.get("PATH", "")])
)


def run(kubeconfig: Any, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--kubeconfig", str(kubeconfig)])


def test_the_commands_say_what_the_mesh_does(mesh_namespace: Any, mesh_cluster: Any) -> None:
    config, name = mesh_cluster.kubeconfig, mesh_namespace.name
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
    client = mesh_namespace.client("tester")
    mesh_namespace.apply(RULES)
    pod = f"{name}/{mesh_namespace.pod('tester')['metadata']['name']}"

    assert f"tester-{pod.partition('tester-')[2]}.{name}" in run(config, "proxy-status").stdout
    compared = run(config, "proxy-status", pod)
    assert (compared.exit_code, compared.stdout) == (0, "Clusters Match\nListeners Match\nRoutes Match\n")
    routes = run(config, "proxy-config", "route", pod, "--fqdn", f"reviews.{name}.svc.cluster.local").stdout
    assert routes.count(f"reviews.{name}\n") == 2
    secrets = run(config, "proxy-config", "secret", pod).stdout
    assert "ROOTCA" in secrets
    assert "ACTIVE     true" in secrets

    for header, version in (("x-version: v2", "v2"), ("x-version: v3", "v1")):
        told = run(
            config, "explain", "--from", f"{name}/tester", "--url", "http://reviews/x", "-H", header, "-o", "json"
        )
        (taken,) = json.loads(told.stdout)["clusters"]
        assert taken["cluster"] == f"outbound|80|{version}|reviews.{name}.svc.cluster.local"
        key, _, value = header.partition(": ")
        assert client.get("http://reviews/x", headers={key: value}).version == version


@pytest.mark.parametrize("text", REFUSED)
def test_the_cluster_refuses_with_the_text_of_validate(mesh_namespace: Any, text: str) -> None:
    group, kind, spec = REFUSED[text]
    document = {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": "bad"}, "spec": spec}
    mesh_namespace.assert_refused(document, text)
    offline = CliRunner().invoke(main, ["validate", "-f", "-"], input=json.dumps(document))
    assert text in offline.stdout


@pytest.mark.skipif(
    ISTIOCTL is None, reason="NOT ASKED: no istioctl in MESH_ISTIO_BIN or PATH; build it from Istio's module"
)
def test_istioctl_itself_gets_the_status_of_this_mesh(mesh_namespace: Any, mesh_cluster: Any) -> None:
    mesh_namespace.client("tester")
    pod = f"{mesh_namespace.pod('tester')['metadata']['name']}.{mesh_namespace.name}"

    def istioctl(*arguments: str) -> str:
        argv = [str(ISTIOCTL), "--kubeconfig", str(mesh_cluster.kubeconfig), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    [row] = [line.split() for line in istioctl("proxy-status").splitlines() if line.startswith(pod)]
    ours = run(mesh_cluster.kubeconfig, "proxy-status").stdout
    [own] = [line.split() for line in ours.splitlines() if line.startswith(pod)]
    assert row == own
    compared = istioctl("proxy-status", pod)
    assert "Clusters Match" in compared
    assert "Listeners Match" in compared
    assert "Routes Match" in compared
