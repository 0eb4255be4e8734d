"""What is in an injected Pod, that it runs, and that nothing of the user's is lost."""

from __future__ import annotations

import pytest

from mesh_conformance.injection.admitted_pods import admitted, read_one
from mesh_conformance.injection.pod_contents import lost_parts, missing_parts
from pytest_mesh.contracts import Json
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.readiness import is_ready


@pytest.mark.mesh_feature("InjectPodContents")
def test_the_proxy_the_init_container_and_the_volumes_are_in_the_pod(
    mesh: RunningMesh, injected: MeshNamespace, plain: MeshNamespace
) -> None:
    mesh.needs("init_container", "inbound_port", "outbound_port", "root_config_map")
    pod = read_one("test_pod_contents.yaml")
    before, after = admitted(plain, pod), admitted(injected, pod)

    missing = missing_parts(after, injected.implementation)
    assert not missing, f"the injected Pod lacks: {'; '.join(missing)}"

    lost = lost_parts(before, after)
    assert not lost, f"injection loses what the user wrote: {'; '.join(lost)}"


@pytest.mark.mesh_feature("InjectPodContents")
def test_an_injected_pod_runs_its_init_container_to_the_end_and_its_proxy_beside_the_application(
    mesh: RunningMesh,
    injected: MeshNamespace,
) -> None:
    mesh.needs("init_container")
    implementation = injected.implementation
    pod = injected.pod("reviews")
    statuses = _statuses(pod)

    init = statuses.get(implementation.init_container)
    assert init is not None, f"{pod['metadata']['name']} has no init container {implementation.init_container}"
    ended = (init.get("state") or {}).get("terminated") or {}
    assert ended.get("exitCode") == 0, f"{implementation.init_container} did not end well: {init.get('state')}"

    proxy = statuses.get(implementation.proxy_container)
    assert proxy is not None, f"{pod['metadata']['name']} has no container {implementation.proxy_container}"
    assert "running" in (proxy.get("state") or {}), f"{implementation.proxy_container} does not run: {proxy['state']}"
    assert proxy.get("restartCount", 0) == 0, (
        f"{implementation.proxy_container} restarted {proxy['restartCount']} times"
    )
    assert is_ready(pod), f"{pod['metadata']['name']} is not Ready: {pod['status'].get('conditions')}"


def _statuses(pod: Json) -> dict[str, Json]:
    status = pod["status"]
    return {
        one["name"]: one
        for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    }
