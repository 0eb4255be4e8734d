"""Rows F and B: what fails how, and which VirtualService a host belongs to."""

from __future__ import annotations

import pytest

from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.model import Source

V1 = "{route: [{destination: {host: reviews, subset: v1}}]}"
V2 = "{route: [{destination: {host: reviews, subset: v2}}]}"
RATINGS = "{route: [{destination: {host: ratings}}]}"
ELSEWHERE = Source(namespace="elsewhere")


def told(prediction):
    one = prediction.certain
    assert one is not None, prediction.explain()
    return (one.status, one.flag, *(work.name for work in one.workloads))


def test_f1_a_subset_that_nobody_defines_is_no_cluster(ask, routes):
    prediction = ask(routes("[{route: [{destination: {host: reviews, subset: nobody}}]}]"))
    assert told(prediction) == (503, "NC")
    assert prediction.certain.body == ""
    assert "no DestinationRule" in prediction.explain()


def test_f1_an_unknown_host_is_no_cluster(ask, routes):
    assert told(ask(routes("[{route: [{destination: {host: stranger}}]}]"))) == (503, "NC")


def test_f1_a_port_that_the_service_lacks_is_no_cluster(ask, routes):
    assert told(ask(routes("[{route: [{destination: {host: reviews, port: {number: 81}}}]}]"))) == (503, "NC")


def test_f3_a_subset_without_pods_is_unhealthy(ask, routes):
    prediction = ask(routes("[{route: [{destination: {host: reviews, subset: v9}}]}]"))
    assert told(prediction) == (503, "UH")
    assert prediction.certain.body == "no healthy upstream"


def test_f3_a_service_without_pods_is_unhealthy(ask):
    assert told(ask("", "http://idle/")) == (503, "UH")


def test_f4_no_route_matches_is_404(ask, routes):
    prediction = ask(routes("[{match: [{uri: {exact: /known}}], route: [{destination: {host: reviews}}]}]"))
    assert told(prediction) == (404, "NR")
    assert "exact '/known' is wanted (test.yaml: VirtualService shop/reviews: spec.http[0].match[0].uri)" in (
        prediction.explain()
    )


def test_f5_all_blocks_filtered_falls_to_the_service(ask, routes):
    text = routes("[{match: [{sourceLabels: {app: other}}], route: [{destination: {host: reviews, subset: v1}}]}]")
    assert told(ask(text)) == (200, "", "reviews-v1", "reviews-v2")


def test_f4_some_blocks_left_and_no_match_is_404(ask, routes):
    text = routes(
        "[{match: [{sourceLabels: {app: other}}, {uri: {exact: /a}}], route: [{destination: {host: reviews}}]}]"
    )
    assert told(ask(text)) == (404, "NR")


def test_f6_an_unknown_host_is_passed_through(ask):
    prediction = ask("", "http://reviews/", headers={"host": "example.org"})
    assert told(prediction) == (200, "", "reviews-v1", "reviews-v2")
    assert ask("", "http://example.org/").certain.by == "outside"


def test_f7_an_unknown_host_is_502_where_only_the_registry_counts(ask):
    assert told(ask("", "http://example.org/", registry_only=True)) == (502, "BH")


def test_b1_a_gateway_alone_has_no_effect_on_sidecars(ask, routes):
    assert told(ask(routes(f"[{V1}]", more="gateways: [edge], "))) == (200, "", "reviews-v1", "reviews-v2")
    assert told(ask(routes(f"[{V1}]", more="gateways: [edge, mesh], "))) == (200, "", "reviews-v1")


def test_b2_short_names_belong_to_the_namespace_of_the_virtual_service(ask, routes):
    text = routes(f"[{RATINGS}]")
    assert told(ask(text, "http://reviews.shop/", source=ELSEWHERE)) == (200, "", "ratings-v1")
    assert ask(text, "http://reviews/", source=ELSEWHERE).certain.by == "outside"


def test_b2_a_name_with_a_dot_stays_as_it_is(ask, routes):
    text = routes(f"[{V1}]", hosts="[reviews.shop]")
    assert told(ask(text, "http://reviews/")) == (200, "", "reviews-v1", "reviews-v2")


def test_b3_hosts_compare_in_any_case(ask, routes):
    assert told(ask(routes(f"[{V1}]", hosts="[Reviews.Shop.svc.cluster.local]"))) == (200, "", "reviews-v1")
    assert told(ask(routes(f"[{V1}]"), headers={"host": "REVIEWS"})) == (200, "", "reviews-v1")


def test_b4_a_virtual_service_of_any_namespace_counts(ask, routes):
    text = routes(f"[{V1.replace('reviews', 'reviews.shop.svc.cluster.local')}]", hosts="[reviews.shop.svc.cluster.local]",
                  metadata=", namespace: elsewhere")  # fmt: skip
    assert told(ask(text)) == (200, "", "reviews-v1")


def test_b5_the_oldest_takes_the_whole_host(ask, routes):
    young = routes(f"[{V1}]", name="a", metadata=", creationTimestamp: '2026-01-02T00:00:00Z'")
    old = routes("[{match: [{uri: {exact: /x}}], route: [{destination: {host: ratings}}]}]", name="b",
                 metadata=", creationTimestamp: '2026-01-01T00:00:00Z'")  # fmt: skip
    prediction = ask(young + old)
    assert told(prediction) == (404, "NR")
    assert "comes later and is ignored (B5, B6)" in prediction.explain()


def test_b5_of_the_same_age_the_name_decides(ask, routes):
    assert told(ask(routes(f"[{V2}]", name="b") + routes(f"[{V1}]", name="a"))) == (200, "", "reviews-v1")


def test_b6_private_comes_before_public(ask, routes):
    public = routes(f"[{V1}]", name="a", metadata=", creationTimestamp: '2026-01-01T00:00:00Z'")
    private = routes(
        f"[{V2}]", name="b", metadata=", creationTimestamp: '2026-01-02T00:00:00Z'", more="exportTo: ['.'], "
    )
    assert told(ask(public + private)) == (200, "", "reviews-v2")


def test_b6_exported_to_its_own_namespace_by_name_is_private_too(ask, routes):
    named = routes(f"[{V1}]", name="a", more="exportTo: [shop], ")
    private = routes(f"[{V2}]", name="b", more="exportTo: ['.'], ")
    assert told(ask(named + private)) == (200, "", "reviews-v1")


def test_b7_an_exact_host_comes_before_a_wildcard(ask, routes):
    wild = routes(f"[{V1}]", name="a", hosts="['*.shop.svc.cluster.local']")
    assert told(ask(wild + routes(f"[{V2}]", name="b"))) == (200, "", "reviews-v2")
    assert told(ask(wild)) == (200, "", "reviews-v1")


def test_b7_the_longer_wildcard_wins(ask, routes):
    wide = routes(f"[{V1}]", name="a", hosts="['*.svc.cluster.local']")
    narrow = routes(f"[{V2}]", name="b", hosts="['*.shop.svc.cluster.local']")
    assert told(ask(wide + narrow)) == (200, "", "reviews-v2")


def test_b10_a_host_that_is_no_service_is_known_on_port_80_only(ask, routes):
    text = routes(f"[{V1}]", hosts="[shop.example.org]")
    assert told(ask(text, headers={"host": "shop.example.org"})) == (200, "", "reviews-v1")
    assert told(ask(text, "http://wide:8000/", headers={"host": "shop.example.org"})) == (200, "", "ratings-v1")


def test_b10_a_host_that_is_a_services_other_name_takes_that_name_only(ask, routes):
    both = routes(f"[{V1}]", name="b") + routes(f"[{RATINGS}]", name="a", hosts="[reviews.shop]")
    assert told(ask(both, "http://reviews.shop/")) == (200, "", "ratings-v1")
    assert told(ask(both, "http://reviews/")) == (200, "", "reviews-v1")
    later = routes(f"[{V1}]", name="a") + routes(f"[{RATINGS}]", name="b", hosts="[reviews.shop]")
    assert told(ask(later, "http://reviews.shop/")) == (200, "", "reviews-v1")


def test_b12_what_is_not_exported_is_not_there(ask, routes):
    text = routes(f"[{V1}]", more="exportTo: [other], ")
    assert told(ask(text)) == (200, "", "reviews-v1", "reviews-v2")
    assert told(ask(text, "http://reviews.shop/", source=Source(namespace="other"))) == (200, "", "reviews-v1")


def test_b14_the_port_is_the_given_one_else_the_listeners(ask, routes):
    given = ask(routes("[{route: [{destination: {host: wide, port: {number: 8000}}}]}]"))
    listeners = ask(routes("[{route: [{destination: {host: wide}}]}]"))
    assert [one.certain.port for one in (given, listeners)] == [8000, 80]


def test_b14_a_service_without_the_listeners_port_is_not_found_even_if_it_has_only_one(ask, routes):
    prediction = ask(routes("[{route: [{destination: {host: reviews}}]}]", hosts="[wide]"), "http://wide:8000/")
    assert told(prediction) == (503, "NC")


def test_d19_a_destination_rule_that_is_not_exported_is_not_there(ask, routes):
    rule = "\n---\n{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r}, spec: {host: ratings, exportTo: ['.'], subsets: [{name: all, labels: {}}]}}"
    text = rule + routes("[{route: [{destination: {host: ratings, subset: all}}]}]")
    assert told(ask(text)) == (200, "", "ratings-v1")
    assert told(ask(text, "http://reviews.shop/", source=ELSEWHERE)) == (503, "NC")


@pytest.mark.parametrize("kind", ["WorkloadEntry", "EnvoyFilter", "AuthorizationPolicy", "RequestAuthentication"])
def test_kinds_that_are_not_modelled_are_refused_by_name(ask, kind):
    group = "security.istio.io" if "A" in kind else "networking.istio.io"
    with pytest.raises(Unsupported, match=f"{kind} shop/x"):
        ask(f"{{apiVersion: {group}/v1, kind: {kind}, metadata: {{name: x}}, spec: {{}}}}")


@pytest.mark.parametrize(
    "document",
    [
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: x}, spec: {hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a}}]}]}}",
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: x}, spec: {http: [{route: [{destination: {host: a}}]}], gateways: [b]}}",
        "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: x}, spec: {ingress: []}}",
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: x}, spec: {hosts: [a.test], subjectAltNames: [x]}}",
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: x}, spec: {hosts: [a], http: [{misspelt: 1}]}}",
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: x}, spec: {host: a, trafficPolicy: {tls: {mode: SIMPLE}}}}",
    ],
)
def test_fields_that_are_not_modelled_are_refused_by_path(ask, document):
    with pytest.raises(
        Unsupported,
        match=r"spec\.(tcp\[0\].match\[0\].destinationSubnets|http\[0\]\.misspelt|gateways|ingress|subjectAltNames|trafficPolicy\.tls)",
    ):
        ask(document)
