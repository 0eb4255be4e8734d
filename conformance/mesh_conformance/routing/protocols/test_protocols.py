"""What a route means for each protocol: a request, a call or a connection is what it takes and what weights share out."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_mesh.contracts import Request
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.responses import Response

GRPC = "grpc://reviews:7000/pytest_mesh.Echo/Say"
HTTP2 = "http2://reviews"
SOCKET = "ws://reviews"
TCP = "tcp://reviews:9000"
TLS = "tls://reviews:9443"
V2_ONLY = {"x-version": "v2"}


@pytest.mark.mesh_feature("VSGrpc")
def test_a_grpc_call_is_routed_by_its_metadata_and_its_status_comes_back(caller: Client) -> None:
    answers = _sent(caller, GRPC, 20, headers=V2_ONLY, reuse=False)
    assert _versions(answers) == {"v2": 20}, f"of 20 calls with x-version: v2 {_versions(answers)} were answered"
    first = answers[0]
    assert first.headers.get("grpc-status") == "0", f"grpc-status is {first.headers.get('grpc-status')}, expected 0"
    assert first.echo is not None
    assert (first.echo.path, dict(first.echo.headers).get("te")) == ("/pytest_mesh.Echo/Say", "trailers")


@pytest.mark.mesh_feature("VSGrpc")
def test_grpc_calls_are_shared_out_one_by_one(caller: Client) -> None:
    caller.assert_split(GRPC, {"v1": 80, "v2": 20})


@pytest.mark.mesh_feature("VSGrpc")
def test_a_grpc_caller_is_told_by_a_status_of_grpc_what_a_proxy_answers(caller: Client) -> None:
    told = caller.request("POST", "grpc://reviews:7000/nowhere")
    seen = (told.status, told.headers.get("grpc-status"), told.failure)
    assert seen == (200, "7", ""), (
        f"HTTP status, grpc-status and failure are {seen}, expected 200 and 7 (PERMISSION_DENIED)"
    )


@pytest.mark.mesh_feature("VSHttp2")
def test_requests_on_one_http2_connection_are_shared_out_one_by_one(caller: Client) -> None:
    chosen = _sent(caller, HTTP2, 20, headers=V2_ONLY)
    assert _versions(chosen) == {"v2": 20}, f"of 20 requests with x-version: v2 {_versions(chosen)} were answered"
    caller.assert_split(HTTP2, {"v1": 80, "v2": 20})


@pytest.mark.mesh_feature("VSWebSocket")
def test_a_websocket_is_upgraded_and_goes_where_its_route_sends_it(caller: Client) -> None:
    answers = _sent(caller, SOCKET, 20, headers=V2_ONLY, reuse=False, body="hello")
    statuses = Counter(one.status or one.failure for one in answers)
    assert statuses == {101: 20}, f"20 upgrades gave {dict(statuses)}, expected 101"
    assert _versions(answers) == {"v2": 20}, f"of 20 sockets with x-version: v2 {_versions(answers)} answered"
    assert {one.echo.body for one in answers if one.echo} == {"hello"}


@pytest.mark.mesh_feature("VSWebSocket")
def test_websockets_are_shared_out_by_connection(caller: Client) -> None:
    kept = _sent(caller, SOCKET, 20)
    assert len(_versions(kept)) == 1, f"20 texts on one socket were answered by {_versions(kept)}"
    caller.assert_split(SOCKET, {"v1": 80, "v2": 20})


@pytest.mark.mesh_feature("VSTcp")
def test_tcp_connections_are_shared_out_by_weight(caller: Client) -> None:
    kept = _sent(caller, TCP, 20)
    assert len({one.pod for one in kept}) == 1, f"20 lines on one connection were answered by {_versions(kept)}"
    caller.assert_split(TCP, {"v1": 70, "v2": 30})


@pytest.mark.mesh_feature("VSTlsSni")
def test_the_server_name_chooses_where_a_tls_connection_goes(caller: Client) -> None:
    for name, version in (("one.reviews.test", "v1"), ("two.reviews.test", "v2")):
        answers = _sent(caller, TLS, 20, headers={"sni": name}, reuse=False)
        assert _versions(answers) == {version: 20}, (
            f"20 connections with server name {name} were answered by {_versions(answers)}, expected {version} only"
        )
        seen = {one.echo.host for one in answers if one.echo}
        assert seen == {name}, f"the workload was asked for {seen}, expected {name}: TLS did not pass through as it was"


def _sent(
    client: Client, url: str, number: int, *, headers: dict[str, str] | None = None, reuse: bool = True, body: str = ""
) -> list[Response]:
    """Send one request so many times on one connection, or each on its own."""
    request = Request(url=url, headers=tuple((headers or {}).items()), body=body)
    return client.batch([request], count=number, reuse=reuse)


def _versions(responses: list[Response]) -> dict[str, int]:
    return dict(Counter(one.version or one.failure or f"status {one.status}" for one in responses))
