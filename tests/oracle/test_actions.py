"""Rows W and R: what happens to a request that a route takes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_mesh.oracle.errors import Malformed, Unsupported
from pytest_mesh.oracle.paths import substituted

TO_V1 = "route: [{destination: {host: reviews, subset: v1}}]"


def to(subset, weight=None, headers=""):
    share = "" if weight is None else f", weight: {weight}"
    return f"{{destination: {{host: reviews, subset: {subset}}}{share}{headers}}}"


@pytest.mark.parametrize(
    ("branches", "shares"),
    [
        pytest.param([("v1", 80), ("v2", 20)], {"v1": "4/5", "v2": "1/5"}, id="W1"),
        pytest.param([("v1", 1), ("v2", 3)], {"v1": "1/4", "v2": "3/4"}, id="W2"),
        pytest.param([("v1", 0)], {"v1": "1"}, id="W3"),
        pytest.param([("v1", 30)], {"v1": "1"}, id="W3-some"),
        pytest.param([("v1", 0), ("v2", 7)], {"v2": "1"}, id="W4"),
        pytest.param([("v1", 1), ("nobody", 1)], {"v1": "1/2", "503": "1/2"}, id="W9"),
        pytest.param([("v1", 10), ("v2", 80), ("v1", 10)], {"v1": "1/5", "v2": "4/5"}, id="same-subset-twice"),
    ],
)
def test_w_weights(ask, routes, branches, shares):
    route = ", ".join(to(*branch) for branch in branches)
    found = ask(routes(f"[{{route: [{route}]}}]")).shares
    assert found == {key: Fraction(value) for key, value in shares.items()}


def test_w5_all_zero_is_refused(ask, routes):
    with pytest.raises(Malformed, match="total destination weight = 0"):
        ask(routes(f"[{{route: [{to('v1', 0)}, {to('v2', 0)}]}}]"))


def test_w6_negative_is_refused(ask, routes):
    with pytest.raises(Malformed, match="weight -1 < 0"):
        ask(routes(f"[{{route: [{to('v1', -1)}, {to('v2', 2)}]}}]"))


def test_w8_headers_of_a_destination_are_its_own(ask, routes):
    changes = ", headers: {request: {set: {x-branch: b}}, response: {add: {x-answer: c}}}"
    both = ask(routes(f"[{{route: [{to('v1', 1, changes)}, {to('v2', 1)}]}}]")).outcomes
    seen = {one.subset: (dict(one.request_headers), dict(one.response_headers)) for one in both}
    assert seen == {"v1": ({"x-branch": "b"}, {"x-answer": "c"}), "v2": ({}, {})}


def test_w8_of_a_single_destination_the_destination_has_the_last_word_of_several_the_route(ask, routes):
    route, branch = "headers: {request: {set: {x-a: route}}}", ", headers: {request: {set: {x-a: branch}}}"
    single = ask(routes(f"[{{{route}, route: [{to('v1', 1, branch)}]}}]")).certain
    several = ask(routes(f"[{{{route}, route: [{to('v1', 1, branch)}, {to('v2', 0)}]}}]")).certain
    assert (single.request_headers["x-a"], several.request_headers["x-a"]) == ("branch", "route")


def test_w8_authority_of_a_destination_counts_where_the_route_has_none(ask, routes):
    branch = ", headers: {request: {set: {Host: branch.test}}}"
    free = ask(routes(f"[{{route: [{to('v1', 1, branch)}]}}]")).certain
    bound = ask(routes(f"[{{rewrite: {{authority: route.test}}, route: [{to('v1', 1, branch)}]}}]")).certain
    assert (free.authority, bound.authority) == ("branch.test", "route.test")


@pytest.mark.parametrize(
    ("match", "rewrite", "path", "seen"),
    [
        pytest.param("uri: {prefix: /a}", "uri: /b", "/a/c?q=1", "/b/c?q=1", id="prefix"),
        pytest.param("uri: {prefix: /a}", "uri: /b", "/ac", "/bc", id="prefix-is-a-string"),
        pytest.param("uri: {prefix: /a/}", "uri: /", "/a/c", "/c", id="prefix-to-root"),
        pytest.param("uri: {exact: /a}", "uri: /b", "/a?q", "/b?q", id="exact"),
        pytest.param("uri: {regex: '/a.*'}", "uri: /b", "/abc", "/b", id="regex-match"),
        pytest.param("method: {exact: GET}", "uri: /b/", "/abc", "/b/abc", id="no-uri"),
    ],
)
def test_r1_rewrite_uri(ask, routes, match, rewrite, path, seen):
    text = routes(f"[{{match: [{{{match}}}], rewrite: {{{rewrite}}}, {TO_V1}}}]")
    assert ask(text, f"http://reviews{path}").certain.path == seen


def test_r2_rewrite_by_regex_leaves_the_query_alone(ask, routes):
    text = routes(f"[{{rewrite: {{uriRegexRewrite: {{match: '^/([a-z]+)/([a-z]+)', rewrite: '/\\2/\\1'}}}}, {TO_V1}}}]")
    assert ask(text, "http://reviews/one/two/x?a/b").certain.path == "/two/one/x?a/b"


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "seen"),
    [
        ("o", "0", "/foo/o", "/f00/0"),
        ("b*", "-", "abc", "-a-c-"),
        ("(x)?y", r"[\1]", "xyy", "[x][]"),
        ("", "-", "ab", "-a-b-"),
    ],
)
def test_r2_every_match_is_replaced_as_re2_does(pattern, replacement, text, seen):
    assert substituted(pattern, replacement, text) == seen


@pytest.mark.parametrize(("pattern", "replacement"), [("(a)", r"\2"), ("a", ""), ("", "a")])
def test_r2_a_replacement_that_no_proxy_takes_is_refused(ask, routes, pattern, replacement):
    rewrite = f"rewrite: {{uriRegexRewrite: {{match: '{pattern}', rewrite: '{replacement}'}}}}"
    with pytest.raises(Malformed, match="uriRegexRewrite"):
        ask(routes(f"[{{{rewrite}, {TO_V1}}}]"))


def test_r3_rewrite_of_the_authority_beats_headers_and_set_beats_add(ask, routes):
    changes = "headers: {request: {set: {Host: set.test}, add: {':authority': add.test}}}"
    assert ask(routes(f"[{{{changes}, {TO_V1}}}]")).certain.authority == "set.test"
    assert ask(routes(f"[{{{changes}, rewrite: {{authority: r.test}}, {TO_V1}}}]")).certain.authority == "r.test"
    assert ask(routes(f"[{{{TO_V1}}}]")).certain.authority == "reviews"


@pytest.mark.parametrize(
    ("redirect", "url", "status", "location"),
    [
        ("{uri: /b}", "http://reviews/a", 301, "http://reviews/b"),
        ("{uri: /b}", "http://reviews/a?q=1", 301, "http://reviews/b?q=1"),
        ("{uri: '/b?own=1'}", "http://reviews/a?q=1", 301, "http://reviews/b?own=1"),
        ("{authority: other.test, redirectCode: 302}", "http://reviews/a?q=1", 302, "http://other.test/a?q=1"),
        ("{scheme: https}", "http://reviews/a", 301, "https://reviews/a"),
        ("{port: 8080, redirectCode: 307}", "http://reviews/a", 307, "http://reviews:8080/a"),
        ("{port: 80}", "http://reviews/a", 301, "http://reviews/a"),
        ("{scheme: https, port: 443, redirectCode: 308}", "http://reviews/a", 308, "https://reviews/a"),
        ("{derivePort: FROM_REQUEST_PORT, authority: o.test, redirectCode: 303}", "http://wide:8000/", 303, "http://o.test:8000/"),
        ("{prefixRewrite: /b}", "http://reviews/abc?q=1", 301, "http://reviews/bbc?q=1"),
    ],
)  # fmt: skip
def test_r4_redirects(ask, routes, redirect, url, status, location):
    text = routes(
        f"[{{match: [{{uri: {{prefix: /a}}}}, {{method: {{exact: GET}}}}], redirect: {redirect}}}]",
        hosts="[reviews, wide]",
    )
    one = ask(text, url).certain
    assert (one.by, one.status, one.location) == ("proxy", status, location)


def test_r5_other_codes_are_refused(ask, routes):
    with pytest.raises(Unsupported, match="route without an action"):
        ask(routes("[{redirect: {uri: /b, redirectCode: 304}}]"))


def test_r6_direct_response(ask, routes):
    one = ask(routes("[{directResponse: {status: 418, body: {string: short}}}]")).certain
    assert (one.by, one.status, one.body, one.flag) == ("proxy", 418, "short", "")


@pytest.mark.parametrize(
    ("mirror", "copies"),
    [
        ("mirror: {host: ratings}", [("ratings", 1_000_000)]),
        ("mirror: {host: ratings}, mirrorPercentage: {value: 12.5}", [("ratings", 125_000)]),
        ("mirror: {host: ratings}, mirrorPercentage: {value: 0}", []),
        ("mirrors: [{destination: {host: ratings}}, {destination: {host: idle}, percentage: {value: 5}}]", [("ratings", 1_000_000), ("idle", 50_000)]),
    ],
)  # fmt: skip
def test_r7_mirrors_leave_the_answer_alone(ask, routes, mirror, copies):
    one = ask(routes(f"[{{{mirror}, {TO_V1}}}]")).certain
    assert one.subset == "v1"
    assert [(copy.host.partition(".")[0], copy.per_million) for copy in one.mirrors] == copies


def test_r8_delay(ask, routes):
    found = ask(routes(f"[{{fault: {{delay: {{fixedDelay: 1.5s, percentage: {{value: 25}}}}}}, {TO_V1}}}]")).outcomes
    assert {one.delay: one.probability for one in found} == {1.5: Fraction(1, 4), 0.0: Fraction(3, 4)}
    assert all(one.subset == "v1" for one in found)


def test_r9_abort_and_delay_fall_each_by_itself(ask, routes):
    fault = (
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 50}}, abort: {httpStatus: 418, percentage: {value: 10}}}"
    )
    found = ask(routes(f"[{{{fault}, {TO_V1}}}]")).outcomes
    assert {(one.status, one.delay): one.probability for one in found} == {
        (418, 1.0): Fraction(1, 20), (418, 0.0): Fraction(1, 20),
        (200, 1.0): Fraction(9, 20), (200, 0.0): Fraction(9, 20),
    }  # fmt: skip


def test_r9_without_a_percentage_nothing_is_aborted(ask, routes):
    assert ask(routes(f"[{{fault: {{abort: {{httpStatus: 418}}}}, {TO_V1}}}]")).certain.status == 200


def test_r10_timeout(ask, routes):
    text = routes(f"[{{timeout: 1s, {TO_V1}}}]")
    slow = ask(text, headers={"x-mesh-delay": "3"}).certain
    assert (slow.status, slow.flag, slow.delay) == (504, "UT", 1.0)
    assert ask(text, headers={"x-mesh-delay": "0.2"}).certain.status == 200
    assert ask(routes(f"[{{{TO_V1}}}]"), headers={"x-mesh-delay": "30"}).certain.status == 200


def test_r12_retries_are_assumed_to_change_no_answer(ask, routes):
    assert "retries" in ask(routes(f"[{{retries: {{attempts: 3}}, {TO_V1}}}]")).explain()


def test_r17_set_overwrites_add_appends_remove_removes(ask, routes):
    text = routes(
        f"[{{headers: {{request: {{set: {{x-set: s}}, add: {{x-add: a}}, remove: [X-Gone]}},"
        f" response: {{set: {{r-set: s}}, add: {{r-add: a}}, remove: [r-gone]}}}}, {TO_V1}}}]"
    )
    one = ask(text, headers={"X-Set": "mine", "X-Add": "mine", "x-gone": "mine"}).certain
    assert one.request_headers == {"x-set": "s", "x-add": "mine,a", "x-gone": None}
    assert one.response_headers == {"r-set": "s", "r-add": "a", "r-gone": None}


def test_r17_removal_comes_first_and_set_before_add(ask, routes):
    text = routes(f"[{{headers: {{request: {{set: {{x-a: s}}, add: {{x-a: a}}, remove: [x-a]}}}}, {TO_V1}}}]")
    assert ask(text, headers={"x-a": "mine"}).certain.request_headers == {"x-a": "s,a"}


def test_r17_pseudo_headers_are_left_alone(ask, routes):
    text = routes(f"[{{headers: {{request: {{set: {{':path': /evil}}, remove: [host]}}}}, {TO_V1}}}]")
    one = ask(text).certain
    assert (one.path, one.authority, one.request_headers) == ("/", "reviews", {})


def test_r20_a_route_without_an_action_is_refused(ask, routes):
    with pytest.raises(Malformed, match="R20"):
        ask(routes("[{match: [{uri: {exact: /}}]}]"))


def test_the_explanation_names_file_object_and_field(ask, routes):
    text = ask(
        routes(f"[{{match: [{{headers: {{x-a: {{exact: v}}}}}}], {TO_V1}}}, {{{TO_V1.replace('v1', 'v2')}}}]")
    ).explain()
    where = "test.yaml: VirtualService shop/reviews: spec"
    assert text.splitlines() == [
        "allowed:",
        "  100% 200 from reviews-v2 (reviews.shop.svc.cluster.local:80 subset v2), which sees GET /",
        "because:",
        f"  host reviews (Service reviews.shop.svc.cluster.local) belongs to VirtualService shop/reviews [{where}.hosts[0]]",
        f"  does not match: header x-a is absent, exact 'v' is wanted ({where}.http[0].match[0].headers.x-a)",
        f"  matches [{where}.http[1]]",
        f"  100% to reviews.shop.svc.cluster.local subset v2 [{where}.http[1].route[0]]",
    ]
