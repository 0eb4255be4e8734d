"""Traffic by the clock from inside a workload: counted second by second, on new connections and on kept ones."""

from __future__ import annotations

import asyncio

import pytest

from pytest_mesh.traffic.soak import Lane, Soak
from pytest_mesh.workloads import soaks
from pytest_mesh.workloads.http1 import Message
from pytest_mesh.workloads.server import EchoApplication, Identity, ServerProtocol

HASH = "ab" * 32


class Signed:
    """Answers as the echo does, with a caller's certificate among the request's headers, as a proxy writes it."""

    def __init__(self):
        self._echo = EchoApplication(Identity(version="v1"))

    def __call__(self, message, address):
        signed = (*message.headers, ("x-forwarded-client-cert", f"By=x;Hash={HASH}"))
        return self._echo(Message(message.start, signed, message.body, message.keep_alive), address)


async def soak(lanes, while_running):
    """Run a soak against servers of this process; give what it counted."""
    loop = asyncio.get_running_loop()
    opened: set = set()
    echo = await loop.create_server(
        lambda: ServerProtocol(EchoApplication(Identity(version="v1")), opened), "127.0.0.1", 0
    )
    second = await loop.create_server(lambda: ServerProtocol(Signed(), opened), "127.0.0.1", 0)
    ports = {"echo": echo.sockets[0].getsockname()[1], "http2": second.sockets[0].getsockname()[1]}
    running = soaks.Soaks()
    data = {"lanes": [{**lane, "url": lane["url"].format(**ports)} for lane in lanes]}
    name = running.start(data)["soak"]
    try:
        await while_running(running, name, opened)
        answer = await running.look(name, {"stop": True})
    finally:
        for server in (echo, second):
            server.close()
    return {lane["name"]: lane for lane in answer["lanes"]}


def lane(name, kind, server="echo", **changes):
    url = "http://127.0.0.1:{" + server + "}/"
    return {"name": name, "kind": kind, "url": url, "per_second": 200, "timeout": 2, **changes}


async def until_answered(running, name, opened, count=20):
    del opened
    while any(one["answered"] < count for one in (await running.look(name, {}))["lanes"]):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_a_lane_makes_a_connection_for_each_request_or_keeps_one():
    found = asyncio.run(soak([lane("a", "new"), lane("b", "kept"), lane("c", "http2", "http2")], until_answered))

    assert found["a"]["connections"] == found["a"]["answered"] >= 20
    assert (found["b"]["connections"], found["c"]["connections"]) == (1, 1)
    assert {name: one["failures"] for name, one in found.items()} == {"a": {}, "b": {}, "c": {}}
    assert [peer for peer, _ in found["c"]["peers"]] == [HASH]


def test_what_was_answered_and_lost_is_counted_by_the_second():
    found = asyncio.run(soak([lane("a", "new")], until_answered))["a"]

    assert sum(answered for _, answered, _ in found["seconds"]) == found["answered"]
    assert sum(lost for *_, lost in found["seconds"]) == 0


def test_beyond_so_many_under_way_nothing_is_sent_and_nothing_lost(monkeypatch):
    async def until_skipped(running, name, opened):
        while (await running.look(name, {}))["lanes"][0]["skipped"] < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    monkeypatch.setattr(soaks, "MOST_IN_FLIGHT", 0)

    found = asyncio.run(soak([lane("a", "new")], until_skipped))["a"]

    assert (found["answered"], found["failures"]) == (0, {})


def test_a_connection_that_is_taken_away_is_a_reset_and_the_lane_goes_on():
    async def cut(running, name, opened):
        await until_answered(running, name, opened, 3)
        for connection in list(opened):
            connection._transport.abort()
        await until_answered(running, name, opened, 30)

    found = asyncio.run(soak([lane("b", "kept")], cut))["b"]

    assert (found["resets"], found["connections"]) == (1, 2)


def test_a_port_where_nobody_listens_loses_every_request():
    async def until_lost(running, name, opened):
        while (await running.look(name, {}))["lanes"][0]["failures"].get("refused", 0) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    found = asyncio.run(soak([{**lane("a", "new"), "url": "http://127.0.0.1:1/"}], until_lost))["a"]

    assert found["answered"] == 0
    assert found["firstFailures"][0][1].startswith("refused")


def test_an_exchange_that_breaks_in_another_way_ends_the_soak_with_its_error(monkeypatch):
    async def broken(target, address):
        raise RuntimeError("no such thing")

    async def until_done(running, name, opened):
        while not running._running[name][2].done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    monkeypatch.setattr(soaks, "open_connection", broken)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(soak([lane("a", "new")], until_done))

    assert raised.group_contains(RuntimeError, match="no such thing")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "one lane at least"),
        ({"lanes": [lane("a", "udp") | {"url": "http://x"}]}, "kind 'udp' is not known"),
        ({"lanes": [lane("a", "new") | {"url": "ftp://x"}]}, "this client speaks http://"),
        ({"lanes": [lane("a", "new") | {"url": "http://x", "per_second": 0}]}, "lanes: per_second: 0 is not above 0"),
        ({"lanes": [lane("a", "new") | {"url": "http://x", "per_second": -1}]}, "per_second: -1 is not above 0"),
    ],
)
def test_a_soak_that_is_none_is_refused_with_the_field(data, said):
    async def start():
        soaks.Soaks().start(data)

    with pytest.raises(soaks.SoakError, match=said):
        asyncio.run(start())


def test_a_test_reads_what_the_workload_counted():
    said = {
        "name": "a",
        "kind": "new",
        "answered": 3,
        "connections": 4,
        "resets": 0,
        "skipped": 0,
        "slowest": 0.1,
        "failures": {"reset": 1},
        "firstFailures": [[0.5, "reset: gone"]],
        "peers": [[HASH, 0.1]],
        "seconds": [[0, 3, 1]],
    }
    asked = []

    def control(path, data):
        asked.append((path, data))
        return {"soak": "7"} if path == "/v1/soak" else {"lanes": [said]}

    found = Soak(control, [Lane(name="a", url="http://h")]).stop()["a"]

    assert (found.lost, found.answered, found.peers) == (1, 3, ((HASH, 0.1),))
    assert asked[1] == ("/v1/soak/7", {"stop": True})
