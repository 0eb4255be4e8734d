"""Sidecars (S5, S6, S8, B13), ServiceEntries (S1, S2), exported services (S10) and headless ones (§1.0)."""

from __future__ import annotations

import pytest

from pytest_mesh.oracle.errors import Malformed, Unsupported
from pytest_mesh.oracle.model import Source

CLIENT = Source(namespace="shop", labels={"app": "tester"})


def sidecar(spec: str, *, name: str = "default", namespace: str = "shop", created: str = "") -> str:
    at = f", creationTimestamp: '{created}'" if created else ""
    return f"\n---\n{{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {{name: {name}, namespace: {namespace}{at}}}, spec: {spec}}}\n"


def entry(spec: str, *, namespace: str = "shop") -> str:
    return f"\n---\n{{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: x, namespace: {namespace}}}, spec: {spec}}}\n"


def told(prediction):
    one = prediction.certain
    return one.workloads[0].name if one.by == "workload" else (one.status or one.by)


RATINGS_ONLY = "{egress: [{hosts: ['./ratings.shop.svc.cluster.local']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"


def test_s6_a_host_that_is_not_listed_is_unknown(ask):
    assert told(ask(sidecar(RATINGS_ONLY), "http://ratings/")) == "ratings-v1"
    assert told(ask(sidecar(RATINGS_ONLY), "http://reviews/")) == 502


@pytest.mark.parametrize(
    ("hosts", "known"),
    [
        ("['*/*']", True), ("['./*']", True), ("['shop/*']", True), ("['elsewhere/*']", False), ("['~/*']", False),
        ("['*/*.shop.svc.cluster.local']", True), ("['*/*.other.svc.cluster.local']", False),
        ("['elsewhere/*', 'shop/reviews.shop.svc.cluster.local', './ratings.shop.svc.cluster.local']", True),
    ],
)  # fmt: skip
def test_s6_patterns_of_namespace_and_host(ask, hosts, known):
    text = sidecar(f"{{egress: [{{hosts: {hosts}}}]}}")
    outcomes = ask(text, "http://ratings/", registry_only=True).outcomes
    assert (outcomes[0].by == "workload") is known


def test_s8_a_sidecars_policy_comes_before_the_meshs(ask):
    allow = sidecar("{outboundTrafficPolicy: {mode: ALLOW_ANY}}")
    assert ask(allow, "http://example.com/", registry_only=True).certain.by == "outside"
    only = sidecar("{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}")
    assert told(ask(only, "http://example.com/")) == 502
    assert told(ask(sidecar("{outboundTrafficPolicy: {}}"), "http://example.com/")) == 502


def test_f8_a_port_that_no_known_service_has_is_closed_or_passed_on(ask):
    text = sidecar("{egress: [{hosts: ['~/*']}]}")
    one = ask(text, "http://reviews/", registry_only=True).certain
    assert (one.by, one.status, one.flag) == ("proxy", 0, "BH")
    assert ask(text, "http://reviews/").certain.by == "workload"


def test_s5_a_selector_comes_first_then_the_namespaces_then_the_roots(ask):
    everything, nothing = "egress: [{hosts: ['*/*']}]", "egress: [{hosts: ['~/*']}]"
    chosen = sidecar(f"{{workloadSelector: {{labels: {{app: tester}}}}, {everything}}}", name="chosen")
    others = sidecar(f"{{workloadSelector: {{labels: {{app: other}}}}, {nothing}}}", name="another")
    roots = sidecar(f"{{{nothing}}}", namespace="istio-system")
    assert told(ask(chosen + others + sidecar(f"{{{nothing}}}"), "http://ratings/", registry_only=True)) == "ratings-v1"
    assert told(ask(sidecar(f"{{{everything}}}") + roots, "http://ratings/", registry_only=True)) == "ratings-v1"
    assert ask(roots, "http://ratings/", registry_only=True).certain.flag == "BH"


def test_s5_of_two_the_older_counts(ask):
    old = sidecar("{egress: [{hosts: ['*/*']}]}", name="z", created="2026-01-01T00:00:00Z")
    new = sidecar("{egress: [{hosts: ['~/*']}]}", name="a", created="2026-01-02T00:00:00Z")
    assert told(ask(new + old, "http://ratings/", registry_only=True)) == "ratings-v1"


def test_b13_what_a_let_in_route_sends_to_is_known_too(ask, routes):
    text = sidecar("{egress: [{hosts: ['./reviews.shop.svc.cluster.local']}]}")
    assert told(ask(text + routes("[{route: [{destination: {host: ratings}}]}]"))) == "ratings-v1"


HIDDEN = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: hidden, namespace: shop, annotations: {networking.istio.io/exportTo: else}}, spec: {selector: {app: ratings}, ports: [{name: http, port: 80}]}}"


@pytest.mark.parametrize(
    "more", ["", sidecar("{egress: [{hosts: ['./reviews.shop.svc.cluster.local']}]}")], ids=["", "sidecar"]
)
def test_b13_a_route_leads_to_a_service_of_the_clients_namespace_whatever_its_export(ask, routes, more):
    text = HIDDEN + more
    assert told(ask(text, "http://hidden/", registry_only=True)) == 502
    assert told(ask(text + routes("[{route: [{destination: {host: hidden}}]}]"))) == "ratings-v1"
    elsewhere = Source(namespace="elsewhere")
    assert (
        told(ask(text + routes("[{route: [{destination: {host: hidden}}]}]"), "http://reviews.shop/", source=elsewhere))
        == 503
    )


def test_s6_a_virtual_service_that_is_not_let_in_routes_nothing(ask, routes):
    text = sidecar("{egress: [{hosts: ['./ratings.shop.svc.cluster.local']}]}") + routes(
        "[{directResponse: {status: 418}}]"
    )
    assert told(ask(text, registry_only=True)) == 502


def test_what_a_sidecar_says_that_is_not_modelled_is_refused(ask):
    for spec, path in (
        ("{ingress: [{}]}", "spec.ingress"),
        ("{egress: [{hosts: ['*/*'], port: {number: 80}}]}", r"spec.egress\[0\].port"),
        ("{egress: [{hosts: ['~shop/reviews']}]}", r"spec.egress\[0\].hosts"),
    ):
        with pytest.raises(Unsupported, match=path):
            ask(sidecar(spec))
    with pytest.raises(Malformed, match="NAMESPACE/HOST"):
        ask(sidecar("{egress: [{hosts: [reviews]}]}"))


PORT = "ports: [{number: 80, name: http, protocol: HTTP}]"


def test_s2_a_service_entry_with_a_selector_leads_to_its_pods(ask):
    text = entry(f"{{hosts: [api.test], {PORT}, resolution: STATIC, workloadSelector: {{labels: {{app: ratings}}}}}}")
    assert told(ask(text, "http://api.test/", registry_only=True)) == "ratings-v1"


@pytest.mark.parametrize("resolution", ["DNS", "STATIC", "DNS_ROUND_ROBIN"])
def test_s1_other_endpoints_are_outside_but_routes_to_them_are_known(ask, routes, resolution):
    text = entry(f"{{hosts: [api.test], {PORT}, resolution: {resolution}, endpoints: [{{address: 192.0.2.1}}]}}")
    text += routes("[{rewrite: {uri: /v2}, route: [{destination: {host: api.test}}]}]", hosts="[api.test]", name="api")
    one = ask(text, "http://api.test/", registry_only=True).certain
    assert (one.by, one.host, one.port, one.path) == ("outside", "api.test", 80, "/v2")


def test_s1_without_resolution_it_goes_where_the_client_dials(ask):
    text = entry(f"{{hosts: [api.test], {PORT}}}")
    assert ask(text, "http://api.test/", registry_only=True).certain.by == "outside"
    assert told(ask(text, "http://ratings/", headers={"host": "api.test"}, registry_only=True)) == "ratings-v1"


def test_s1_a_wildcard_takes_names_below_it_and_an_exact_one_comes_first(ask):
    wide = entry(f"{{hosts: ['*.test'], {PORT}, resolution: STATIC, workloadSelector: {{labels: {{app: ratings}}}}}}")
    near = wide.replace("name: x", "name: y").replace("*.test", "api.test").replace("app: ratings", "app: reviews")
    assert told(ask(wide + near, "http://one.test/", registry_only=True)) == "ratings-v1"
    assert {one.name for one in ask(wide + near, "http://api.test/").certain.workloads} == {"reviews-v1", "reviews-v2"}
    assert told(ask(wide, "http://test/", registry_only=True)) == 502


def test_b12_an_entry_that_is_not_exported_is_unknown_elsewhere(ask):
    text = entry(f"{{hosts: [api.test], {PORT}, exportTo: ['.'], resolution: DNS}}", namespace="other")
    assert told(ask(text, "http://api.test/", registry_only=True)) == 502


def test_s10_a_service_may_say_to_whom_it_is_exported(ask):
    text = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: own, namespace: shop, annotations: {networking.istio.io/exportTo: '.'}}, spec: {selector: {app: ratings}, ports: [{name: http, port: 80}]}}"
    assert told(ask(text, "http://own/")) == "ratings-v1"
    elsewhere = Source(namespace="elsewhere")
    assert told(ask(text, "http://own.shop/", source=elsewhere, registry_only=True)) == 502


HEADLESS = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: None, selector: {app: reviews}, ports: [{name: http, port: 80}]}}"


@pytest.mark.parametrize("host", ["web", "web.shop", "pod-0.web", "pod-0.web.shop.svc.cluster.local"])
def test_a_headless_service_leads_to_the_pod_that_is_dialled(ask, host):
    one = ask(HEADLESS, f"http://{host}/").certain
    assert {work.name for work in one.workloads} == {"reviews-v1", "reviews-v2"}
    with pytest.raises(Unsupported, match="shop/web: headless, and the client dials pods of ratings"):
        ask(HEADLESS, "http://ratings/", headers={"host": host})


def test_an_external_name_is_refused(ask):
    text = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: ExternalName, externalName: a.test}}"
    with pytest.raises(Unsupported, match=r"spec\.type: the oracle does not model ExternalName"):
        ask(text)
