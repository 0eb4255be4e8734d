"""TCP and TLS routes (T1-T6): chosen by port, client and server name, and shared out by connection."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_mesh.oracle.errors import Malformed, Unsupported

SERVICES = """
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {selector: {app: reviews}, ports: [{name: tcp, port: 9000}, {name: tls, port: 9443}, {name: mysql, port: 3306}]}}
---
{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: db, namespace: shop}, spec: {host: db, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}}
"""


def service(kind: str, routes: str, *, hosts: str = "[db]", name: str = "db") -> str:
    return f"{SERVICES}\n---\n{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: {name}, namespace: shop}}, spec: {{hosts: {hosts}, {kind}: {routes}}}}}\n"


def to(subset: str, weight: int = 0) -> str:
    return f"{{destination: {{host: db, subset: {subset}}}, weight: {weight}}}"


def test_t6_without_a_route_the_service_itself_is_reached(ask):
    one = ask(SERVICES, "tcp://db:9000").certain
    assert (one.by, one.host, {work.name for work in one.workloads}) == (
        "workload", "db.shop.svc.cluster.local", {"reviews-v1", "reviews-v2"},
    )  # fmt: skip


def test_t5_weights_share_out_connections(ask):
    assert ask(service("tcp", f"[{{route: [{to('v1', 70)}, {to('v2', 30)}]}}]"), "tcp://db:9000").shares == {
        "v1": Fraction(7, 10),
        "v2": Fraction(3, 10),
    }


def test_t3_the_first_route_for_the_client_and_port_takes_it(ask):
    text = service(
        "tcp",
        f"[{{match: [{{port: 3306}}], route: [{to('v1')}]}}, {{match: [{{sourceLabels: {{app: other}}}}], route: [{to('v1')}]}}, {{route: [{to('v2')}]}}, {{route: [{to('v1')}]}}]",
    )
    assert ask(text, "tcp://db:9000").certain.subset == "v2"
    assert ask(text, "tcp://db:3306").certain.subset == "v1"


def test_t6_routes_for_others_leave_the_services_own_destination(ask):
    text = service("tcp", f"[{{match: [{{port: 3306}}], route: [{to('v1')}]}}]")
    assert ask(text, "tcp://db:9000").certain.subset == ""


def test_f1_an_unknown_subset_closes_the_connection(ask):
    one = ask(service("tcp", f"[{{route: [{to('nope')}]}}]"), "tcp://db:9000").certain
    assert (one.by, one.status, one.flag) == ("proxy", 0, "NC")


TLS = f"[{{match: [{{sniHosts: ['*.test']}}], route: [{to('v1')}]}}, {{match: [{{sniHosts: [a.test]}}, {{sniHosts: [b.test], port: 1}}], route: [{to('v2')}]}}]"


@pytest.mark.parametrize(("name", "subset"), [("a.test", "v2"), ("A.test", "v2"), ("b.test", "v1"), ("c.test", "v1")])
def test_t1_the_server_name_that_fits_best_decides(ask, name, subset):
    text = service("tls", TLS, hosts="['*.test', db]")
    assert ask(text, "tls://db:9443", headers={"sni": name}).certain.subset == subset


def test_t4_of_equal_server_names_the_first_route_counts(ask):
    text = service(
        "tls",
        f"[{{match: [{{sniHosts: [a.test]}}], route: [{to('v1')}]}}, {{match: [{{sniHosts: [a.test]}}], route: [{to('v2')}]}}]",
    )
    assert ask(text, "tls://db:9443", headers={"sni": "a.test"}).certain.subset == "v1"


def test_a_server_name_that_no_route_has_is_refused_not_guessed(ask):
    with pytest.raises(Unsupported, match=r"no tls route takes server name 'else\.example'"):
        ask(service("tls", TLS, hosts="['*.test', db]"), "tls://db:9443", headers={"sni": "else.example"})


def test_t1_a_tls_route_without_server_names_is_refused(ask):
    with pytest.raises(Malformed, match="sniHosts are required"):
        ask(service("tls", f"[{{route: [{to('v1')}]}}]"))


def test_what_speaks_another_protocol_is_refused_by_name(ask):
    with pytest.raises(Unsupported, match="port 9443 speaks tls: the oracle does not model tcp to it"):
        ask(SERVICES, "tcp://db:9443")
    with pytest.raises(Unsupported, match="port 80 speaks http"):
        ask(SERVICES, "tcp://reviews:80")


def test_f6_f8_an_address_of_no_service_is_passed_on_or_closed(ask):
    assert ask(SERVICES, "tcp://example.com:7000").certain.by == "outside"
    assert ask(SERVICES, "tcp://example.com:7000", registry_only=True).certain.flag == "BH"


def test_a_url_that_is_no_connection_is_refused(ask):
    with pytest.raises(Unsupported, match="want tcp://HOST:PORT"):
        ask(SERVICES, "tcp://db/path")


ENTRY = "\n---\n{{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: {name}, namespace: shop}}, spec: {{hosts: [{name}.test], ports: [{{number: {port}, name: p, protocol: {protocol}}}], resolution: DNS}}}}"


def test_s4_a_service_entry_leads_outside_and_refuses_what_is_not_known_of_its_port(ask):
    outside = ask(ENTRY.format(name="api", port=7000, protocol="TCP"), "tcp://api.test:7000").certain
    assert (outside.by, outside.host) == ("outside", "api.test")
    with pytest.raises(Unsupported, match="which one listens is not modelled"):
        ask(SERVICES + ENTRY.format(name="api", port=9000, protocol="TCP"), "tcp://api.test:9000")
    tls = ENTRY.format(name="api", port=7443, protocol="TLS")
    assert ask(tls, "tls://api.test:7443").certain.by == "outside"
    with pytest.raises(Unsupported, match=r"does not model server name 'else\.test'"):
        ask(tls, "tls://api.test:7443", headers={"sni": "else.test"})
