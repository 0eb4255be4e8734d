"""CORS (R18), aborts with a gRPC status (R9), and what gRPC callers get of a proxy's own answers."""

from __future__ import annotations

import pytest

from pytest_mesh.oracle.errors import Malformed, Unsupported

TO_V1 = "route: [{destination: {host: reviews, subset: v1}}]"
CORS = "corsPolicy: {allowOrigins: [{exact: 'https://app.test'}, {prefix: 'https://dev.'}], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: [x-r], maxAge: 1h2m, allowCredentials: true}"
PREFLIGHT = {"origin": "https://app.test", "access-control-request-method": "PUT"}
GRPC = {"content-type": "application/grpc"}


def test_r18_the_proxy_answers_a_preflight_of_an_allowed_origin(ask, routes):
    one = ask(routes(f"[{{{CORS}, {TO_V1}}}]"), method="OPTIONS", headers=PREFLIGHT).certain
    assert (one.by, one.status, one.body) == ("proxy", 200, "")
    assert one.response_headers == {
        "access-control-allow-origin": "https://app.test",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-a,x-b",
        "access-control-allow-credentials": "true",
        "access-control-max-age": "3720",
    }


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("OPTIONS", {"origin": "https://app.test"}),
        ("OPTIONS", {"access-control-request-method": "PUT"}),
        ("OPTIONS", {**PREFLIGHT, "origin": "https://else.test"}),
        ("GET", PREFLIGHT),
    ],
)
def test_r18_what_is_no_preflight_or_of_another_origin_goes_on(ask, routes, method, headers):
    assert ask(routes(f"[{{{CORS}, {TO_V1}}}]"), method=method, headers=headers).certain.by == "workload"


def test_r18_an_unmatched_preflight_is_answered_without_leave_where_that_is_asked_for(ask, routes):
    text = routes(f"[{{{CORS[:-1]}, unmatchedPreflights: IGNORE}}, {TO_V1}}}]")
    one = ask(text, method="OPTIONS", headers={**PREFLIGHT, "origin": "https://else.test"}).certain
    assert (one.by, one.status, one.response_headers["access-control-allow-origin"]) == ("proxy", 200, None)


def test_r18_other_answers_to_an_allowed_origin_get_its_headers(ask, routes):
    text = routes(f"[{{{CORS}, {TO_V1}}}]")
    told = ask(text, headers={"origin": "https://dev.test"}).certain.response_headers
    assert told == {
        "access-control-allow-origin": "https://dev.test",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-r",
    }
    assert ask(text, headers={"origin": "https://else.test"}).certain.response_headers == {}


@pytest.mark.parametrize("origin", ["{exact: '*'}", "{regex: '.*'}", "{regex: '*'}"])
def test_r18_a_match_that_takes_the_star_takes_every_origin(ask, routes, origin):
    text = routes(f"[{{corsPolicy: {{allowOrigins: [{origin}]}}, {TO_V1}}}]")
    told = ask(text, headers={"origin": "https://any.test"}).certain.response_headers
    assert told == {"access-control-allow-origin": "https://any.test"}


@pytest.mark.parametrize("action", ["redirect: {uri: /new}", "directResponse: {status: 204}"])
def test_r18_a_route_that_the_proxy_answers_itself_has_no_cors(ask, routes, action):
    text = routes(f"[{{{CORS}, {action}}}]")
    assert ask(text, headers={"origin": "https://app.test"}).certain.response_headers == {}
    assert ask(text, method="OPTIONS", headers=PREFLIGHT).certain.status in {204, 301}


def test_r18_an_abort_comes_before_the_preflight(ask, routes):
    text = routes(f"[{{{CORS}, fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}, {TO_V1}}}]")
    one = ask(text, method="OPTIONS", headers=PREFLIGHT).certain
    assert (one.status, one.flag, one.response_headers) == (418, "FI", {})


def test_r9_an_abort_with_a_grpc_status_is_200_for_who_speaks_no_grpc(ask, routes):
    text = routes(f"[{{fault: {{abort: {{grpcStatus: NOT_FOUND, percentage: {{value: 100}}}}}}, {TO_V1}}}]")
    plain, grpc = ask(text).certain, ask(text, headers=GRPC).certain
    assert (plain.by, plain.status, plain.flag, plain.body) == ("proxy", 200, "FI", "fault filter abort")
    assert (grpc.status, grpc.response_headers, grpc.body) == (200, {"grpc-status": "5"}, "")


def test_r9_a_grpc_status_that_is_none_is_refused(ask, routes):
    with pytest.raises(Malformed, match=r"fault.abort.grpcStatus: 'NICHT' is no status of gRPC"):
        ask(routes(f"[{{fault: {{abort: {{grpcStatus: NICHT}}}}, {TO_V1}}}]"))
    with pytest.raises(Unsupported, match=r"fault.abort.http2Error"):
        ask(routes(f"[{{fault: {{abort: {{http2Error: X}}}}, {TO_V1}}}]"))


@pytest.mark.parametrize(
    ("http", "code"),
    [
        ("[{match: [{uri: {exact: /x}}], route: [{destination: {host: reviews}}]}]", "12"),
        ("[{route: [{destination: {host: reviews, subset: none}}]}]", "14"),
        ("[{directResponse: {status: 403}}]", "7"),
        ("[{directResponse: {status: 418}}]", "2"),
    ],
)
def test_a_grpc_caller_gets_a_proxys_answer_as_a_status_in_a_header(ask, routes, http, code):
    one = ask(routes(http), headers={"content-type": "application/grpc+proto"}).certain
    assert (one.by, one.status, one.response_headers["grpc-status"]) == ("proxy", 200, code)


def test_grpc_web_is_no_grpc_for_a_proxys_own_answers(ask, routes):
    one = ask(routes("[{directResponse: {status: 403}}]"), headers={"content-type": "application/grpc-web"}).certain
    assert (one.status, one.response_headers) == (403, {})
