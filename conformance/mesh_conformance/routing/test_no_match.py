"""A VirtualService whose routes all miss leaves nothing to answer."""

from __future__ import annotations

import pytest

from mesh_conformance.wording import told
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client


@pytest.mark.mesh_feature("VSNoMatch404")
def test_a_request_that_no_route_matches_is_404(shop: MeshNamespace, tester: Client) -> None:
    shop.apply("test_no_match.yaml")
    known = tester.get("http://one-path/known")
    assert known.ok, f"/known is routed to reviews, but gave {told(known)}"

    for path in ("/unknown", "/known/", "/Known"):
        response = tester.get(f"http://one-path{path}")
        assert response.status == 404, (
            f"{path} matches no route (exact /known is the only one), but gave {told(response)}, expected 404"
        )
        assert response.echo is None, f"{path}: the 404 came from {response.pod}, expected the client's proxy"
