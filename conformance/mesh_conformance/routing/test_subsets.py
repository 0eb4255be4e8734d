"""A subset is the pods that carry its labels, and no others."""

from __future__ import annotations

import pytest

from mesh_conformance.wording import told
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

REQUESTS = 50


@pytest.mark.mesh_feature("DRSubset")
def test_a_subset_is_the_pods_with_its_labels(shop: MeshNamespace, tester: Client) -> None:
    shop.apply("test_subsets.yaml")

    # Without a subset both versions answer: all alike has probability 2^-49.
    both = tester.count("http://by-label/any", REQUESTS)
    assert set(both.counts) == {"v1", "v2"}, f"without a subset expected v1 and v2, got {dict(both.counts)}"

    for path, version in (("one", "v1"), ("two", "v2")):
        answered = tester.count(f"http://by-label/{path}", REQUESTS)
        assert dict(answered.counts) == {version: REQUESTS}, (
            f"subset {path} has labels version: {version}, but {REQUESTS} requests to it gave "
            f"{dict(answered.counts)}, failures {dict(answered.failures)}"
        )


@pytest.mark.mesh_feature("DRSubset")
def test_a_pod_needs_every_label_of_the_subset(shop: MeshNamespace, tester: Client) -> None:
    shop.apply("test_subsets.yaml")
    assert tester.get("http://by-label/two").version == "v2"

    response = tester.get("http://by-label/mixed")

    assert response.status == 503, (
        f"subset mixed has labels app: ratings and version: v2, which no pod carries, but a request to it gave "
        f"{told(response)}, expected 503"
    )
    assert response.echo is None, f"{response.pod} answered 503 itself, expected the client's proxy"
