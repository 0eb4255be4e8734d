"""A label of the Pod turns injection off where its namespace turns it on."""

from __future__ import annotations

import copy

import pytest

from mesh_conformance.injection.admitted_pods import admitted, read_one
from mesh_conformance.injection.pod_contents import containers, is_injected
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace


@pytest.mark.mesh_feature("InjectPodOptOut")
def test_the_label_of_the_pod_turns_injection_off(mesh: RunningMesh, injected: MeshNamespace) -> None:
    mesh.needs("pod_opt_out_labels")
    implementation = injected.implementation
    pod = read_one("test_pod_opt_out.yaml")
    without = admitted(injected, pod)
    assert is_injected(without, implementation), (
        f"the Pod without the label has no container {implementation.proxy_container}, "
        f"only {', '.join(containers(without))}: opting out cannot be told from not injecting"
    )

    opted_out = copy.deepcopy(pod)
    opted_out["metadata"]["labels"] |= implementation.pod_opt_out_labels
    stored = admitted(injected, opted_out)

    assert not is_injected(stored, implementation), (
        f"the Pod labelled {dict(implementation.pod_opt_out_labels)} has a container "
        f"{implementation.proxy_container} all the same"
    )
    assert implementation.init_container not in containers(stored), (
        f"the Pod labelled {dict(implementation.pod_opt_out_labels)} has the init container "
        f"{implementation.init_container}: its traffic goes to a proxy that is not there"
    )
