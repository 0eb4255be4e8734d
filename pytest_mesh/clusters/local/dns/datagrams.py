"""UDP on asyncio: a server that answers datagrams, and one question with its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Coroutine

Address = tuple[str, int]
MAX_OPEN = 1024
"""Questions under way. One beyond is not answered: whoever asked asks again."""


class Server(asyncio.DatagramProtocol):
    """Answers each datagram with what ``handle`` gives for it (None = no answer)."""

    def __init__(self, handle: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        self._handle = handle
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if len(self._tasks) >= MAX_OPEN:
            return
        answering: Coroutine[None, None, None] = self._answer(data, addr)
        task = asyncio.get_running_loop().create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: Address) -> None:
        reply = await self._handle(data)
        if reply is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)


class _Question(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, _: Address) -> None:
        if not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


async def exchange(host: str, port: int, data: bytes) -> bytes:
    """Send one datagram and give the first that comes back; OSError when the host cannot be reached."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Question(answer), remote_addr=(host, port))
    try:
        transport.sendto(data)
        return await answer
    finally:
        transport.close()
