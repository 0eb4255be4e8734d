"""A short host name means the Service of the VirtualService's own namespace, whoever asks."""

from __future__ import annotations

import pytest

from mesh_conformance.stage import own_namespace
from mesh_conformance.wording import told
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client


@pytest.mark.mesh_feature("VSShortNames")
def test_short_names_mean_the_namespace_of_the_virtual_service(
    request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings, shop: MeshNamespace, tester: Client
) -> None:
    shop.apply("test_short_names.yaml")
    names = [f"shortened{rest}" for rest in ("", f".{shop.name}", f".{shop.name}.svc.cluster.local")]

    for name in names:
        _assert_ratings(tester, name, "from its own namespace")

    with own_namespace(request, mesh, mesh_settings, purpose="elsewhere") as elsewhere:
        stranger = elsewhere.client("stranger")
        for name in names[1:]:
            _assert_ratings(stranger, name, "from another namespace")


def _assert_ratings(client: Client, host: str, where: str) -> None:
    response = client.get(f"http://{host}")
    assert response.version == "r1", (
        f"http://{host} {where} gave {told(response)}, "
        "expected ratings, to which the VirtualService of the short host sends it"
    )
