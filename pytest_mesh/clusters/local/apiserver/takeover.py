"""Takes a connection away from aiohttp after an HTTP upgrade that aiohttp does not know (SPDY).

What is spoken on it afterwards is the caller's. WebSockets do not need this: aiohttp speaks them.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest

READ = 1 << 16


class TakenOver(web.StreamResponse):
    """What a handler returns when it has served the connection itself: aiohttp writes nothing."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


class Connection:
    """The bytes of a taken connection; a ``spdy.session.Pipe``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(READ)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


@asynccontextmanager
async def take_over(request: web.Request, headers: Mapping[str, str]) -> AsyncIterator[Connection]:
    """Answer ``request`` with 101 and ``headers``, and give its connection; it is closed at the end.

    The handler then returns ``TakenOver()``. Raises ConnectionResetError if the client has gone.
    """
    http, transport = request.protocol, request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone before its upgrade was answered")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=4 * READ)
    protocol = asyncio.StreamReaderProtocol(reader)
    # The client sends nothing until it has read the answer, so nothing lies in aiohttp's parser.
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items())]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        yield Connection(reader, writer)
    finally:
        writer.close()
        # aiohttp counts its connections: it must learn that this one is over.
        loop.call_soon(http.connection_lost, None)
