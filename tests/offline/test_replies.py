"""What a test reads of a reply."""

from __future__ import annotations

import pytest

from pytest_mesh.confirming import standing
from pytest_mesh.offline import Uncertain, offline

MORE = """
{apiVersion: v1, kind: Service, metadata: {name: more, namespace: shop}, spec: {selector: {app: reviews}, ports: [{name: http, port: 80}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: more, namespace: shop}
spec:
  hosts: [more]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, redirectCode: 308}
  - match: [{uri: {exact: /slow}}]
    fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {exact: /direct}}]
    directResponse: {status: 418, body: {string: tea}}
  - match: [{uri: {prefix: /api/}}]
    rewrite: {uri: /, authority: inner.test}
    headers: {request: {set: {x-a: b}}, response: {add: {x-r: s}}}
    mirror: {host: reviews, subset: v2}
    mirrorPercentage: {value: 25}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {exact: /gone}}]
    route: [{destination: {host: reviews, subset: v9}}]
"""


@pytest.fixture
def mesh(shop):
    return offline([shop, MORE])


def test_one_value_is_given_where_only_one_can_come(mesh):
    reply = mesh.get("http://more/api/x?y=1")
    assert (reply.status, reply.by, reply.subset, reply.host) == (
        200,
        "workload",
        "v1",
        "reviews.shop.svc.cluster.local",
    )
    assert (reply.path, reply.authority, reply.workloads) == ("/x?y=1", "inner.test", ("reviews-v1",))
    assert (reply.request_headers, reply.response_headers) == ({"x-a": "b"}, {"x-r": "s"})
    assert reply.mirrors == {"reviews.shop.svc.cluster.local|v2": 25}


def test_answers_of_the_proxy_are_told(mesh):
    assert mesh.get("http://more/old").location == "http://more/new"
    assert mesh.get("http://more/old").status == 308
    assert (mesh.get("http://more/direct").status, mesh.get("http://more/direct").body) == (418, "tea")
    assert (mesh.get("http://more/nothing").status, mesh.get("http://more/nothing").flag) == (404, "NR")
    assert (mesh.get("http://more/gone").status, mesh.get("http://more/gone").flag) == (503, "NC")
    assert mesh.get("http://more/slow").delay == 2


def test_one_value_of_several_is_refused_with_the_whole_explanation(mesh):
    reply = mesh.get("http://reviews")
    assert reply.weights == {"v1": 80, "v2": 20}
    with pytest.raises(Uncertain, match=r"(?s)reply.subset: any of 'v1', 'v2' may come.*routes.yaml: VirtualService"):
        _ = reply.subset
    assert reply.status == 200


def test_nothing_is_said_of_what_lies_outside(mesh):
    reply = mesh.get("http://example.com")
    assert reply.by == "outside"
    with pytest.raises(Uncertain, match="nothing is known of what answers outside the mesh"):
        _ = reply.status


def test_registry_only_refuses_strangers(shop):
    assert offline(shop, registry_only=True).get("http://example.com").status == 502


def test_the_explanation_names_the_deciding_lines_and_the_oracles_standing(mesh):
    text = mesh.get("http://reviews", headers={"x-version": "v2"}).explain()
    assert "GET http://reviews -H 'x-version: v2'" in text
    assert "routes.yaml: VirtualService shop/reviews: spec.http[0].match[0]" in text
    assert f"oracle: {standing()}" in text


def test_another_client_may_ask(mesh):
    assert mesh.client(namespace="elsewhere").get("http://reviews").by == "outside"
    assert mesh.client(namespace="elsewhere").get("http://reviews.shop").weights == {"v1": 80, "v2": 20}


def test_documents_without_workloads_are_given_pods_and_the_reply_says_so(texts):
    services = texts[0].split("---")[0]
    reply = offline([services, texts[1]]).get("http://reviews", headers={"x-version": "v2"})
    assert (reply.status, reply.workloads) == (200, ("reviews-v2",))
    assert "each of its subsets has" in reply.explain()
    bare = offline([services, texts[1]], assume_pods=False).get("http://reviews", headers={"x-version": "v2"})
    assert bare.status == 503


def test_a_workload_among_the_documents_ends_the_assuming(texts):
    services = texts[0].split("---")[0]
    other = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "namespace": "shop", "labels": {"app": "x"}},
    }
    documents = [services, texts[1], other]
    asked = {"url": "http://reviews", "headers": {"x-version": "v2"}}
    assert offline(documents).get(**asked).status == 503
    assert offline(documents, assume_pods=True).get(**asked).status == 200


def test_documents_of_routes_alone_are_given_services_and_the_reply_says_so(texts):
    reply = offline(texts[1]).get("http://reviews", headers={"x-version": "v2"})
    assert (reply.status, reply.subset) == (200, "v2")
    assert "reviews.shop.svc.cluster.local is a Service with the HTTP port 80 (" in reply.explain()
    assert offline(texts[1]).get("http://example.com").by == "outside"
    assert offline(texts[1], assume_pods=False).get("http://reviews").by == "outside"


def test_a_service_is_assumed_with_the_ports_to_which_routes_lead():
    routes = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop]
  http:
  - route: [{destination: {host: carts.other.svc.cluster.local, port: {number: 8080}}}]
    mirror: {host: copies}
"""
    reply = offline(routes).get("http://shop")
    assert (reply.status, reply.host) == (200, "carts.other.svc.cluster.local")
    assert "carts.other.svc.cluster.local is a Service with the HTTP ports 80, 8080" in reply.explain()
    assert reply.mirrors == {"copies.shop.svc.cluster.local": 100}


def test_a_request_that_is_not_modelled_is_refused_and_named(mesh):
    with pytest.raises(ValueError, match="normalisation of paths") as caught:
        mesh.get("http://reviews/a/../b")
    assert caught.value.__notes__ == ["asked: GET http://reviews/a/../b from namespace shop"]


WIRE = """
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {selector: {app: reviews}, ports: [{name: tcp, port: 5432}, {name: tls, port: 443}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db, one.test]
  tcp:
  - route:
    - {destination: {host: reviews, subset: v1, port: {number: 80}}, weight: 70}
    - {destination: {host: reviews, subset: v2, port: {number: 80}}, weight: 30}
  tls:
  - match: [{sniHosts: [one.test]}]
    route: [{destination: {host: reviews, subset: v2, port: {number: 80}}}]
"""


def test_connections_are_asked_about_by_port_and_server_name(shop):
    mesh = offline([shop, WIRE])
    assert mesh.connect("db", 5432).weights == {"v1": 70, "v2": 30}
    assert mesh.connect("db", 443, server_name="one.test").subset == "v2"


def test_of_a_service_entrys_endpoints_the_way_there_is_known(shop):
    entry = """
{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: api, namespace: shop}, spec: {hosts: [api.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}}
---
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: api, namespace: shop}, spec: {hosts: [api.test], http: [{rewrite: {uri: /v2}, route: [{destination: {host: api.test}}]}]}}
"""
    reply = offline([shop, entry], registry_only=True).get("http://api.test/")
    assert (reply.by, reply.host, reply.path) == ("outside", "api.test", "/v2")
    with pytest.raises(Uncertain, match="nothing is known"):
        _ = reply.status
