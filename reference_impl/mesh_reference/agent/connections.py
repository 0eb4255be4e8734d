"""A TCP server whose connections end with it. What is said on them is its handlers' business."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MAX_LINE_BYTES = 64 * 1024


@contextlib.asynccontextmanager
async def listening(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str, port: int
) -> AsyncIterator[asyncio.Server]:
    """Give each connection to ``handler``, which need not close it; at the end all that are open are closed.

    From Python 3.12.1 on a server waits for its connections, however long they last.
    """
    writers: set[asyncio.StreamWriter] = set()
    ended = False

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            if not ended:
                await handler(reader, writer)
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(connected, host, port, limit=MAX_LINE_BYTES)
    async with server:
        try:
            yield server
        finally:
            ended = True
            server.close()
            for writer in writers:
                writer.transport.abort()
