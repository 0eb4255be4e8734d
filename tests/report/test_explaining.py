"""A failure's explanation: what the oracle says of the test's own requests, by the documents that it applied."""

from __future__ import annotations

import pytest

from pytest_mesh import documents
from pytest_mesh.report.explaining import explain

MESH = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Secret
metadata: {name: decides-nothing}
stringData: {a: b}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: reviews}}]
"""


def sent(url, namespace="shop", **headers):
    request = {"url": url, "method": "GET", "headers": [list(pair) for pair in headers.items()]}
    return {"namespace": namespace, "client": "tester", "batch": {"requests": [request]}}


def test_the_last_requests_are_explained_the_newest_first():
    transcript = [
        sent("http://reviews/a"),
        sent("http://reviews/b"),
        sent("http://reviews/a"),
        {"client": "t", "probe": "x"},
    ]

    told = explain(documents.parse(MESH), "shop", transcript)

    assert told.index("tester: GET http://reviews/a") < told.index("tester: GET http://reviews/b")
    assert told.count("http://reviews/a\n") == 1
    assert "100% 418" in told
    assert "VirtualService shop/reviews: spec.http[0]" in told


def test_requests_of_another_namespace_are_not_explained_by_these_documents():
    assert explain(documents.parse(MESH), "shop", [sent("http://reviews", namespace="elsewhere")]) == ""
    assert explain(documents.parse(MESH), "shop", []) == ""


@pytest.mark.parametrize("kind", ["EnvoyFilter"])
def test_what_the_oracle_does_not_model_is_said_and_raises_nothing(kind):
    unknown = {"apiVersion": "networking.istio.io/v1alpha3", "kind": kind, "metadata": {"name": "x"}, "spec": {}}

    told = explain([*documents.parse(MESH), unknown], "shop", [sent("http://reviews")])

    assert "the oracle cannot say: " in told
    assert kind in told


def test_a_policy_is_named_as_left_out_of_account():
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "deny"},
        "spec": {},
    }

    assert "AuthorizationPolicy deny" in explain([*documents.parse(MESH), policy], "shop", [sent("http://reviews")])


def test_no_more_than_was_asked_for_is_explained():
    transcript = [sent(f"http://reviews/{number}") for number in range(9)]

    assert explain(documents.parse(MESH), "shop", transcript).count("tester: GET") == 5
    assert explain(documents.parse(MESH), "shop", transcript, most=1).count("tester: GET") == 1
