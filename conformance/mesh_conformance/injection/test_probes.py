"""The kubelet is outside the mesh: its probes must reach the application all the same, and bring back what it says."""

from __future__ import annotations

import copy
from functools import partial

import pytest

from mesh_conformance.injection.pod_contents import is_injected
from pytest_mesh.contracts import Json
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.readiness import is_ready
from pytest_mesh.stand_ins import HTTP_PORT

RUNNING_SECONDS = 60.0
READY_SECONDS = 10.0
"""Of a pod that runs, whose probe comes each second."""


@pytest.mark.mesh_feature("InjectProbes")
def test_an_application_that_is_ready_is_found_ready_and_one_that_is_not_is_not(mesh_namespace: MeshNamespace) -> None:
    mesh_namespace.apply("test_probes.yaml")
    mesh_namespace.stand_in("pattern", wait=False)
    pattern = mesh_namespace.get("apps/v1", "Deployment", "pattern-v1")["spec"]["template"]
    for name, status in (("unwell", 503), ("well", 200)):
        mesh_namespace.apply(_probed(pattern, name, status=status), wait=False)
    for name in ("unwell", "well"):
        pod = mesh_namespace.get("v1", "Pod", name)
        assert is_injected(pod, mesh_namespace.implementation), f"pod {name} has no proxy for a probe to pass"
        running = partial(_running, mesh_namespace, name)
        mesh_namespace.eventually(running, f"pod {name} runs, and its proxy is ready", seconds=RUNNING_SECONDS)

    mesh_namespace.eventually(
        lambda: is_ready(mesh_namespace.get("v1", "Pod", "well")),
        "the pod whose application answers its probe with 200 is Ready",
        seconds=READY_SECONDS,
    )
    unwell = _running(mesh_namespace, "unwell")
    assert unwell is not None, "the pod whose application answers 503 does not run any more"
    assert unwell["ready"] is False, "the application answers its probe with 503; its pod is Ready all the same"


def _probed(pattern: Json, name: str, *, status: int) -> Json:
    """Give a Pod of the workload with probes on the application's own port, which the proxy takes in."""
    template = copy.deepcopy(pattern)
    headers = [{"name": "x-mesh-status", "value": str(status)}]
    often = {"periodSeconds": 1, "failureThreshold": 30}
    (container,) = template["spec"]["containers"]
    container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": HTTP_PORT, "httpHeaders": headers}, **often}
    container["livenessProbe"] = {"tcpSocket": {"port": HTTP_PORT}, **often}
    metadata = {"name": name, "labels": {"app": name}, "annotations": template["metadata"].get("annotations", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _running(namespace: MeshNamespace, name: str) -> Json | None:
    """Give the status of the application's container once it has run for a while, and its proxy is ready."""
    pod = namespace.get("v1", "Pod", name)
    statuses = {one["name"]: one for one in (pod["status"].get("containerStatuses") or ())}
    proxies = {one["name"]: one for one in (*(pod["status"].get("initContainerStatuses") or ()), *statuses.values())}
    proxy = proxies.get(namespace.implementation.proxy_container, {})
    workload = statuses.get("workload", {})
    return workload if proxy.get("ready") and "running" in (workload.get("state") or {}) else None
