"""Offline injection of a file makes what the webhook makes of the same workload."""

from __future__ import annotations

import pytest

from mesh_conformance.injection.admitted_pods import admitted, comparable, differences, read_one, replica, without_owner
from mesh_conformance.injection.pod_contents import is_injected
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace


@pytest.mark.mesh_feature("InjectOffline")
def test_offline_injection_makes_what_the_webhook_makes(
    mesh: RunningMesh, injected: MeshNamespace, plain: MeshNamespace
) -> None:
    mesh.needs("kube_inject_command")
    implementation = injected.implementation
    deployment = read_one("test_offline.yaml")
    deployment["metadata"]["namespace"] = injected.name
    online = admitted(injected, replica(deployment, deployment["spec"]["template"]))
    assert is_injected(online, implementation), (
        f"the webhook does not inject the workload: no container {implementation.proxy_container}"
    )

    (written,) = injected.kube_inject(deployment)

    # The plain namespace adds the API server's defaults and no second injection.
    offline = admitted(plain, replica(deployment, written["spec"]["template"]))
    assert is_injected(offline, implementation), f"offline injection adds no container {implementation.proxy_container}"
    different = differences(comparable(offline), without_owner(comparable(online), offline))
    assert not different, f"offline injection differs from the webhook's in {len(different)} places: {different[0]}" + (
        "".join(f"\n{line}" for line in different[1:])
    )
