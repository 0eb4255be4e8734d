"""A route to a subset that no DestinationRule defines is kept, and answers 503."""

from __future__ import annotations

import pytest

from mesh_conformance.wording import told
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client


@pytest.mark.mesh_feature("VSUnknownSubset503")
def test_a_route_to_an_undefined_subset_is_503(shop: MeshNamespace, tester: Client) -> None:
    shop.apply("test_unknown_subset.yaml")
    defined = tester.get("http://half-defined/")
    assert (defined.status, defined.version) == (200, "v1"), (
        f"the route to the defined subset v1 gave {told(defined)}, expected v1"
    )

    response = tester.get("http://half-defined/nowhere")

    assert response.status == 503, f"the route to the undefined subset nobody gave {told(response)}, expected 503"
    assert response.echo is None, f"the 503 came from {response.pod}, expected the client's proxy"
    # No such cluster (NC) has no body; a cluster without endpoints (UH) says so.
    assert not response.body, f"the 503 says {response.body!r}: expected no cluster at all (NC), without a body"
