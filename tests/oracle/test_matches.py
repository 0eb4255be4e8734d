"""Rows M: what a match takes, and what its near misses are."""

from __future__ import annotations

import pytest

from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.model import Source


def matches(ask, routes, block, url="http://reviews/", **sent):
    text = routes(f"[{{match: [{block}], route: [{{destination: {{host: reviews, subset: v1}}}}]}}, "
                  "{route: [{destination: {host: reviews, subset: v2}}]}]")  # fmt: skip
    return ask(text, url, **sent).certain.subset == "v1"


def paths(ask, routes, block, *found):
    return [path for path in found if matches(ask, routes, block, f"http://reviews{path}")]


def test_m2_exact_takes_the_path_without_its_query(ask, routes):
    taken = paths(ask, routes, "{uri: {exact: /a}}", "/a", "/a?x=1", "/a/", "/ab", "/A", "/")
    assert taken == ["/a", "/a?x=1"]


def test_m3_prefix_is_a_prefix_of_the_string(ask, routes):
    assert paths(ask, routes, "{uri: {prefix: /foo}}", "/foo", "/foobar", "/foo/b", "/fo") == [
        "/foo",
        "/foobar",
        "/foo/b",
    ]


def test_m4_regex_takes_the_whole_path(ask, routes):
    assert paths(ask, routes, "{uri: {regex: '/a[0-9]+'}}", "/a1", "/a1b", "/x/a1", "/a12?q=1") == ["/a1", "/a12?q=1"]


def test_m5_case_is_ignored_in_exact_and_prefix_only(ask, routes):
    assert paths(ask, routes, "{uri: {exact: /Ab}, ignoreUriCase: true}", "/aB", "/abc") == ["/aB"]
    assert paths(ask, routes, "{uri: {prefix: /Ab}, ignoreUriCase: true}", "/aBc", "/b") == ["/aBc"]
    assert paths(ask, routes, "{uri: {regex: /ab}, ignoreUriCase: true}", "/ab", "/AB") == ["/ab"]


def test_m6_method_scheme_and_authority(ask, routes):
    assert matches(ask, routes, "{method: {exact: POST}}", method="POST")
    assert not matches(ask, routes, "{method: {exact: POST}}", method="PUT")
    assert matches(ask, routes, "{scheme: {exact: http}}")
    assert not matches(ask, routes, "{scheme: {exact: https}}")
    assert matches(ask, routes, "{authority: {prefix: rev}}")
    assert not matches(ask, routes, "{authority: {exact: reviews}}", headers={"host": "reviews.shop"})


@pytest.mark.parametrize(
    ("match", "values", "taken"),
    [
        ("{exact: v1}", [None, "", "v1", "V1", "v10"], ["v1"]),
        ("{prefix: v1}", [None, "", "v1", "V1", "v10"], ["v1", "v10"]),
        ("{regex: 'v[12]'}", [None, "", "v1", "v10"], ["v1"]),
        ("{regex: '*'}", [None, "", "v1"], ["", "v1"]),
        ("{}", [None, "", "v1"], ["", "v1"]),
    ],
)
def test_m7_headers(ask, routes, match, values, taken):
    block = f"{{headers: {{x-a: {match}}}}}"
    sent = [value for value in values if matches(ask, routes, block, headers={} if value is None else {"X-A": value})]
    assert sent == taken


@pytest.mark.parametrize(
    ("match", "values", "taken"),
    [
        ("{exact: v1}", [None, "", "v1", "v10"], [None, "", "v10"]),
        ("{prefix: v1}", [None, "v1", "v10", "w"], [None, "w"]),
        ("{regex: 'v.*'}", [None, "v1", "w"], [None, "w"]),
        ("{regex: '.*'}", [None, "v1"], []),
        ("{}", [None, "", "v1"], [None]),
    ],
)
def test_m8_without_headers_reads_a_missing_one_as_empty(ask, routes, match, values, taken):
    block = f"{{withoutHeaders: {{x-a: {match}}}}}"
    sent = [value for value in values if matches(ask, routes, block, headers={} if value is None else {"x-a": value})]
    assert sent == taken


def test_m9_claims_are_refused(ask, routes):
    with pytest.raises(Unsupported, match=r"request\.auth\.claims"):
        matches(ask, routes, "{headers: {'@request.auth.claims.x': {exact: a}}}")


def test_m10_query_parameters(ask, routes):
    assert paths(ask, routes, "{queryParams: {q: {exact: a}}}", "/", "/?q=a", "/?q=ab", "/?Q=a", "/?x=1&q=a&q=b") == [
        "/?q=a",
        "/?x=1&q=a&q=b",
    ]
    assert paths(ask, routes, "{queryParams: {q: {prefix: a}}}", "/?q=ab", "/?q=b") == ["/?q=ab"]
    assert paths(ask, routes, "{queryParams: {q: {regex: 'a+'}}}", "/?q=aa", "/?q=aab") == ["/?q=aa"]
    assert paths(ask, routes, "{queryParams: {q: {}}}", "/?q", "/?q=", "/?p=q") == ["/?q", "/?q="]


def test_m11_port_filters_the_block(ask, routes):
    assert matches(ask, routes, "{port: 80}")
    assert not matches(ask, routes, "{port: 8000}")


def test_m12_source_labels_are_the_clients(ask, routes):
    assert matches(ask, routes, "{sourceLabels: {app: tester}}")
    assert not matches(ask, routes, "{sourceLabels: {app: tester, tier: a}}")


def test_m13_source_namespace_is_the_clients(ask, routes):
    assert matches(ask, routes, "{sourceNamespace: shop}")
    assert not matches(ask, routes, "{sourceNamespace: other}")


def test_m14_gateways_cancel_the_source_conditions(ask, routes):
    assert matches(ask, routes, "{gateways: [mesh], sourceLabels: {app: other}, sourceNamespace: other}")
    assert not matches(ask, routes, "{gateways: [edge]}")


def test_m16_no_match_takes_everything(ask, routes):
    text = routes("[{route: [{destination: {host: reviews, subset: v1}}]}]")
    assert ask(text, "http://reviews/any?x", method="DELETE").certain.subset == "v1"


def test_conditions_of_a_block_are_anded_and_blocks_are_ored(ask, routes):
    both = "{uri: {prefix: /a}, headers: {x: {exact: '1'}, y: {exact: '2'}}}"
    assert matches(ask, routes, both, "http://reviews/a", headers={"x": "1", "y": "2"})
    assert not matches(ask, routes, both, "http://reviews/a", headers={"x": "1"})
    either = "{uri: {exact: /a}}, {uri: {exact: /b}}"
    assert paths(ask, routes, either, "/a", "/b", "/c") == ["/a", "/b"]


def test_the_first_match_wins(ask, routes):
    text = routes(
        "[{match: [{uri: {prefix: /}}], route: [{destination: {host: reviews, subset: v1}}]},"
        " {match: [{uri: {exact: /a}}], route: [{destination: {host: reviews, subset: v2}}]}]"
    )
    assert ask(text, "http://reviews/a").certain.subset == "v1"


def test_names_uri_and_method_as_headers_are_headers(ask, routes):
    assert not matches(ask, routes, "{headers: {uri: {prefix: /}}}")
    assert matches(ask, routes, "{headers: {uri: {prefix: /}}}", headers={"uri": "/a"})


@pytest.mark.parametrize("regex", ["(?=a)", "(a)\\1", "[[:alpha:]]", "a++", "("])
def test_regexes_that_re2_reads_otherwise_are_refused(ask, routes, regex):
    with pytest.raises(Unsupported, match=r"match\[0\]\.uri\.regex"):
        matches(ask, routes, f"{{uri: {{regex: '{regex}'}}}}")


@pytest.mark.parametrize("path", ["/a/../b", "/%41", "/./a", "/a\\b"])
def test_paths_that_proxies_normalise_are_refused(ask, path):
    with pytest.raises(Unsupported, match="normalisation"):
        ask("", f"http://reviews{path}")


def test_source_is_the_client_not_the_namespace_of_the_host(ask, routes):
    block = "{sourceNamespace: shop}"
    assert not matches(ask, routes, block, "http://reviews.shop/", source=Source(namespace="elsewhere"))
