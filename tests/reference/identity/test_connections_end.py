"""The agent's small servers: no connection outlives them, or lies idle for ever."""

from __future__ import annotations

import asyncio

import pytest

from mesh_reference.agent import http_exchange, name_server
from mesh_reference.agent.http_exchange import Answer, Incoming
from mesh_reference.agent.name_lookup import Place
from mesh_reference.agent.name_server import NameServer

PLACE = Place(namespace="shop", domain="svc.cluster.local", search=())


async def plain(_request: Incoming) -> Answer:
    return Answer(status=299, body=b"as the application said")


def test_a_status_without_a_name_is_passed_on() -> None:
    async def run() -> bytes:
        async with http_exchange.serve("127.0.0.1", 0, plain) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            try:
                return await asyncio.wait_for(reader.read(), 5)
            finally:
                writer.close()

    head, _, body = asyncio.run(run()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 299 \r\n")
    assert body == b"as the application said"


@pytest.mark.parametrize("kind", ["http", "names"])
def test_open_connections_end_with_their_server(kind: str) -> None:
    async def run() -> bytes:
        served = http_exchange.serve("127.0.0.1", 0, plain) if kind == "http" else NameServer(PLACE, []).serve(port=0)
        async with served as found:
            port = found if isinstance(found, int) else found.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x00")
            await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    assert asyncio.run(run()) == b""


def test_a_connection_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_server, "IDLE_SECONDS", 0.02)

    async def run() -> bytes:
        async with NameServer(PLACE, []).serve(port=0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await asyncio.wait_for(reader.read(), 5)
            finally:
                writer.close()

    assert asyncio.run(run()) == b""
