"""A label of the namespace turns injection on; without it nothing is injected."""

from __future__ import annotations

import pytest

from mesh_conformance.injection.admitted_pods import admitted, read_one
from mesh_conformance.injection.pod_contents import containers, is_injected
from pytest_mesh.namespace import MeshNamespace


@pytest.mark.mesh_feature("InjectNamespaceOptIn")
def test_the_label_of_the_namespace_turns_injection_on(injected: MeshNamespace, plain: MeshNamespace) -> None:
    implementation = injected.implementation
    pod = read_one("test_namespace_opt_in.yaml")
    labelled = admitted(injected, pod)
    assert is_injected(labelled, implementation), (
        f"namespace labelled {dict(implementation.injection_labels)}: the Pod has no container "
        f"{implementation.proxy_container}, only {', '.join(containers(labelled))}"
    )

    unlabelled = admitted(plain, pod)

    assert not is_injected(unlabelled, implementation), (
        f"namespace without {dict(implementation.injection_labels)}: the Pod has a container "
        f"{implementation.proxy_container} all the same"
    )
