"""Strategies over a user's own documents."""

from __future__ import annotations

import pytest
from hypothesis import find, given, settings

from pytest_mesh.offline import offline
from pytest_mesh.strategies import requests_near, virtual_services
from pytest_mesh.strategies.user_routes import HeaderPairs

SUBSETS = ({"host": "reviews", "subset": "v1"}, {"host": "reviews", "subset": "v2"})


def test_requests_meet_the_routes_and_miss_them(shop):
    mesh = offline(shop)
    met = find(requests_near(shop), lambda request: mesh.send(request).weights == {"v2": 100})
    missed = find(
        requests_near(shop), lambda request: "x-version" in request.headers and len(mesh.send(request).weights) > 1
    )
    assert met.headers.get("X-Version") == "v2"
    assert missed.headers.get("x-version") != "v2"


def test_headers_are_found_by_name_and_stay_pairs():
    headers = HeaderPairs((("X-A", "1"), ("x-b", "2")))
    assert "x-a" in headers
    assert "x-c" not in headers
    assert ("x-b", "2") in headers
    assert (headers.get("x-b"), headers.get("x-c", "none")) == ("2", "none")


def test_documents_without_routes_are_refused(shop):
    with pytest.raises(ValueError, match="no VirtualService of the mesh has http routes"):
        requests_near(shop / "reviews.yaml")


@settings(max_examples=40, deadline=None)
@given(document=virtual_services(destinations=SUBSETS, namespace="shop"))
def test_generated_virtual_services_are_read_and_answer(shop_documents, document):
    reply = offline([shop_documents, document]).get("http://reviews")
    assert sum(reply.weights.values()) == pytest.approx(100)


@pytest.fixture(scope="module")
def shop_documents():
    from pathlib import Path

    from pytest_mesh import documents

    manifests = Path(__file__).parents[2] / "examples" / "offline" / "manifests"
    found = [one for path in sorted(manifests.iterdir()) for one in documents.read(path)]
    return [one for one in found if one["kind"] != "VirtualService"]
