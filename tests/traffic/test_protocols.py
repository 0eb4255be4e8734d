"""Batches over every protocol that the workload speaks, against the workload's own servers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from pytest_mesh.contracts import Batch, Observation, Request
from pytest_mesh.stand_ins import throwaway_certificate
from pytest_mesh.workloads.__main__ import port_of
from pytest_mesh.workloads.batches import BatchError, run_batch
from pytest_mesh.workloads.lines import LineServer, server_context
from pytest_mesh.workloads.server import EchoApplication, Identity, ServerProtocol

ECHO = EchoApplication(Identity(version="v1", pod="reviews-v1-x"))
PLAIN = ("http", "http2", "grpc", "ws")
ALL = (*PLAIN, "tcp", "tls")


@pytest.fixture(scope="module")
def pem():
    return throwaway_certificate()


@asynccontextmanager
async def servers(pem, opened=None):
    """Listen for HTTP, lines, and lines by TLS; give the port of each scheme."""
    loop = asyncio.get_running_loop()
    opened = set() if opened is None else opened
    made = [
        await loop.create_server(lambda: ServerProtocol(ECHO, opened), "127.0.0.1", 0),
        await loop.create_server(lambda: LineServer(ECHO), "127.0.0.1", 0),
        await loop.create_server(lambda: LineServer(ECHO), "127.0.0.1", 0, ssl=server_context(pem)),
    ]
    http, tcp, tls = (server.sockets[0].getsockname()[1] for server in made)
    try:
        yield {**dict.fromkeys(PLAIN, http), "tcp": tcp, "tls": tls}
    finally:
        for server in made:
            server.close()


def sent(pem, scheme, *, path="/a?b=1", opened=None, port=0, batch=None, **request):
    """Send a batch of one request; give the answer."""

    async def run():
        async with servers(pem, opened) as ports:
            where = f"127.0.0.1:{port or ports[scheme]}"
            url = f"{scheme}://{where}{path if scheme in PLAIN else ''}"
            return await run_batch(Batch(requests=(Request(url=url, timeout=5, **request),), **(batch or {})))

    return asyncio.run(run())


def observed(*args, **kwargs):
    return Observation.from_json(sent(*args, **kwargs)["observations"][0])


@pytest.mark.parametrize("scheme", ALL)
def test_every_protocol_brings_the_body_there_and_the_echo_back(pem, scheme):
    found = observed(pem, scheme, body="hello")
    assert (found.failure, found.status) == ("", 101 if scheme == "ws" else 200), found
    assert (found.echo.version, found.echo.body) == ("v1", "hello")


@pytest.mark.parametrize("scheme", PLAIN)
def test_path_host_and_headers_arrive_whatever_carries_them(pem, scheme):
    found = observed(pem, scheme, headers=(("Host", "reviews.shop"), ("x-version", "v2")))
    assert (found.echo.path, found.echo.host) == ("/a?b=1", "reviews.shop")
    assert ("x-version", "v2") in found.echo.headers
    assert found.echo.method == ("POST" if scheme == "grpc" else "GET")


def test_grpc_tells_its_status_in_a_trailer(pem):
    good = observed(pem, "grpc", path="/echo.Echo/Call")
    bad = observed(pem, "grpc", path="/echo.Echo/Call", headers=(("x-mesh-status", "503"),))
    assert [dict(one.headers)["grpc-status"] for one in (good, bad)] == ["0", "2"]
    assert dict(good.echo.headers)["content-type"] == "application/grpc"


def test_tls_asks_for_the_name_that_it_is_given(pem):
    assert observed(pem, "tls", headers=(("sni", "one.test"),)).echo.host == "one.test"


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize(("reuse", "connections"), [(True, 4), (False, 40)])
def test_connections_are_reused_or_not_as_asked(pem, scheme, reuse, connections):
    answer = sent(pem, scheme, batch={"count": 40, "connections": 4, "reuse": reuse})
    found = [Observation.from_json(one) for one in answer["observations"]]
    assert [one.failure for one in found] == [""] * 40
    assert len({one.connection for one in found}) == connections


@pytest.mark.parametrize("scheme", ALL)
def test_counts_and_run_lengths_are_gathered_where_they_are_sent(pem, scheme):
    answer = sent(pem, scheme, batch={"count": 40, "connections": 8, "record": "counts", "barrier": True})
    assert (answer["counts"], answer["failures"]) == ({"v1": 40}, {})
    assert sum(length for run in answer["runs"] for _, length in run) == 40
    assert 1 <= len(answer["runs"]) <= 8


@pytest.mark.parametrize("scheme", ALL)
def test_a_port_where_nobody_listens_refuses(pem, scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert observed(pem, scheme, port=port).failure == "refused"


@pytest.mark.parametrize("scheme", ["http2", "grpc", "ws"])
def test_a_peer_of_another_protocol_is_told_as_that(pem, scheme):
    async def run():
        async with servers(pem) as ports:
            request = Request(url=f"{scheme}://127.0.0.1:{ports['tcp']}/", timeout=5)
            return await run_batch(Batch(requests=(request,)))

    assert Observation.from_json(asyncio.run(run())["observations"][0]).failure == "protocol"


def test_a_handshake_that_fails_is_told_as_tls(pem):
    async def run():
        async with servers(pem) as ports:
            return await run_batch(Batch(requests=(Request(url=f"tls://127.0.0.1:{ports['http']}", timeout=5),)))

    assert Observation.from_json(asyncio.run(run())["observations"][0]).failure in {"tls", "reset"}


@pytest.mark.parametrize("scheme", ["http2", "grpc"])
def test_a_slow_answer_is_a_timeout_and_a_large_one_comes_whole(pem, scheme):
    large = observed(pem, scheme, body="x" * 30_000, headers=(("x-more", "y" * 40_000),))
    assert (len(large.echo.body), large.failure) == (30_000, "")

    async def run():
        async with servers(pem) as ports:
            slow = Request(url=f"{scheme}://127.0.0.1:{ports[scheme]}/", headers=(("x-mesh-delay", "5"),), timeout=0.1)
            return await run_batch(Batch(requests=(slow,)))

    assert Observation.from_json(asyncio.run(run())["observations"][0]).failure == "timeout"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x", "speaks http://, http2://, ws://, grpc://, tcp://, tls:// only"),
        ("tcp://x", "has no port"),
        ("http2:///x", "has no host"),
    ],
)
def test_a_url_that_nobody_speaks_is_refused_by_name(url, said):
    with pytest.raises(BatchError, match=said):
        asyncio.run(run_batch(Batch(requests=(Request(url=url),))))


@pytest.mark.parametrize(
    ("text", "read"), [("8080", ("http", 8080)), ("tcp:9", ("tcp", 9)), ("tls:9443", ("tls", 9443))]
)
def test_a_workloads_port_says_what_it_speaks(text, read):
    assert port_of(text) == read


@pytest.mark.parametrize("text", ["x", "udp:1", ":1", "tcp:"])
def test_a_port_that_is_none_is_refused(text):
    with pytest.raises(SystemExit, match="want NUMBER, tcp:NUMBER or tls:NUMBER"):
        port_of(text)
