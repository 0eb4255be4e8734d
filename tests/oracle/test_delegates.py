"""Delegates (R19): which routes come in, within what, and what they inherit."""

from __future__ import annotations

import pytest

from pytest_mesh.oracle.delegates import conflict, merged_block
from pytest_mesh.oracle.errors import Malformed
from pytest_mesh.oracle.model import Source

TO = "route: [{{destination: {{host: reviews, subset: {}}}}}]"


def delegate(http: str, *, name: str = "api", namespace: str = "shop", more: str = "") -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{more}http: {http}}}
"""


def root(routes, match="", more="", where="{name: api}"):
    return routes(f"[{{{match}{more}delegate: {where}}}, {{directResponse: {{status: 418}}}}]")


def status(prediction):
    return prediction.certain.subset or prediction.certain.status


def test_r19_a_delegates_routes_stand_in_the_place_of_the_roots(ask, routes):
    text = root(routes, "match: [{uri: {prefix: /api}}], ") + delegate(
        f"[{{match: [{{uri: {{prefix: /api/v1}}}}], {TO.format('v1')}}}, {{{TO.format('v2')}}}]"
    )
    assert [status(ask(text, f"http://reviews{path}")) for path in ("/api/v1/x", "/api", "/else")] == ["v1", "v2", 418]


def test_r19_a_delegates_route_beyond_its_root_is_dropped_and_no_other(ask, routes):
    text = root(routes, "match: [{uri: {prefix: /api/}}], ") + delegate(
        f"[{{match: [{{uri: {{prefix: /other}}}}], {TO.format('v1')}}}, {{match: [{{uri: {{exact: /api/x}}}}], {TO.format('v2')}}}]"
    )
    assert [status(ask(text, f"http://reviews{path}")) for path in ("/other", "/api/x", "/api/y")] == [418, "v2", 418]


def test_r19_an_absent_or_unexported_delegate_drops_its_roots_route_only(ask, routes):
    assert status(ask(root(routes))) == 418
    hidden = delegate(f"[{{{TO.format('v1')}}}]", namespace="other", more="exportTo: ['.'], ")
    assert status(ask(root(routes, where="{name: api, namespace: other}") + hidden)) == 418
    told = delegate(f"[{{{TO.format('v1').replace('reviews', 'reviews.shop.svc.cluster.local')}}}]", namespace="other")
    assert status(ask(root(routes, where="{name: api, namespace: other}") + told)) == "v1"


def test_r19_a_delegates_short_hosts_are_of_its_own_namespace(ask, routes):
    text = root(routes, where="{name: api, namespace: other}") + delegate(f"[{{{TO.format('v1')}}}]", namespace="other")
    one = ask(text).certain
    assert (one.status, one.flag, one.host) == (503, "NC", "reviews.other.svc.cluster.local")


def test_r19_what_a_delegate_says_wins_and_what_it_leaves_out_is_the_roots(ask, routes):
    more = "rewrite: {uri: /root}, headers: {response: {set: {x-r: root}}}, mirror: {host: ratings}, "
    bare = root(routes, more=more) + delegate(f"[{{{TO.format('v1')}}}]")
    own = root(routes, more=more) + delegate(f"[{{rewrite: {{uri: /own}}, {TO.format('v1')}}}]")
    assert [ask(text).certain.path for text in (bare, own)] == ["/root", "/own"]
    assert ask(bare).certain.response_headers == {"x-r": "root"}
    assert [copy.host for copy in ask(bare).certain.mirrors] == ["ratings.shop.svc.cluster.local"]


def test_r19_the_explanation_names_the_delegate_and_its_root(ask, routes):
    text = root(routes) + delegate(f"[{{{TO.format('v1')}}}]")
    where = "VirtualService shop/api (delegate of VirtualService shop/reviews: spec.http[0]): spec.http[0]"
    assert f"matches [test.yaml: {where}]" in ask(text).explain()


def test_r19_a_delegate_binds_no_host_itself(ask):
    assert ask(delegate("[{directResponse: {status: 418}}]"), source=Source(namespace="shop")).certain.by == "workload"


def test_r19_what_a_mesh_refuses_is_refused(ask, routes):
    with pytest.raises(Malformed, match="delegate and route exclude each other"):
        ask(routes(f"[{{delegate: {{name: api}}, {TO.format('v1')}}}]"))
    with pytest.raises(Malformed, match="a delegate hands on to nobody"):
        ask(root(routes) + delegate("[{delegate: {name: more}}]"))


@pytest.mark.parametrize(
    ("ours", "theirs", "beyond"),
    [
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/ab"}}, False),
        ({"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a"}}, True),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a/b"}}, False),
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}, False),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, True),
        ({"uri": {"regex": "/a"}}, {"uri": {"regex": "/a"}}, True),
        ({"uri": {"regex": "/a"}}, {"headers": {"x": {"exact": "y"}}}, False),
        ({"headers": {"x": {"exact": "y"}}}, {"headers": {"x": {"prefix": "y"}}}, True),
        ({"headers": {"x": {"exact": "y"}}}, {"headers": {"z": {"prefix": "y"}}}, False),
        ({"port": 80}, {"port": 81}, True),
        ({"port": 80}, {}, False),
        ({"ignoreUriCase": True}, {}, True),
        ({"sourceLabels": {"a": "b"}}, {"sourceLabels": {"a": "c"}}, True),
        ({"sourceLabels": {"a": "b"}}, {"sourceLabels": {"d": "e"}}, False),
        ({"gateways": ["mesh"]}, {"gateways": ["mesh", "edge"]}, True),
        ({"gateways": ["mesh", "edge"]}, {"gateways": ["edge"]}, False),
    ],
)
def test_r19_a_block_is_within_its_roots(ours, theirs, beyond):
    assert conflict(ours, theirs) is beyond


def test_r19_a_merged_block_has_the_conditions_of_both_and_both_names():
    both = merged_block(
        {"name": "root", "uri": {"prefix": "/a"}, "headers": {"x": {"exact": "1"}}, "port": 80},
        {"name": "leaf", "uri": {"exact": "/a/b"}, "headers": {"y": {"exact": "2"}}},
    )
    assert both == {
        "name": "root-leaf",
        "uri": {"exact": "/a/b"},
        "headers": {"x": {"exact": "1"}, "y": {"exact": "2"}},
        "port": 80,
    }
