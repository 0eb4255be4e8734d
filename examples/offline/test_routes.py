"""Exercise 4: test your own VirtualServices without a cluster."""

from __future__ import annotations

from pathlib import Path

from hypothesis import assume, given

from pytest_mesh.offline import offline
from pytest_mesh.strategies import requests_near

DOCUMENTS = Path(__file__).with_name("manifests")


def test_qa_goes_to_v2(mesh_offline):
    reply = mesh_offline("manifests/").get("http://reviews", headers={"x-version": "v2"})
    assert reply.subset == "v2", reply.explain()


def test_everybody_else_is_split(mesh_offline):
    assert mesh_offline("manifests/").get("http://reviews").weights == {"v1": 80, "v2": 20}


@given(request=requests_near(DOCUMENTS))  # near misses derived from the routes themselves
def test_v2_needs_its_header(request):
    assume("x-version" not in request.headers)
    assert offline(DOCUMENTS).send(request).weights.get("v2", 0) <= 20
