"""Outgoing connections that carry one exchange at a time, HTTP/1.1's among them: why there was no answer; and the lookup of names.

It never retries and never follows a redirect: what the wire did is the observation.
"""

from __future__ import annotations

import asyncio
import socket

from pytest_mesh.contracts import Failure
from pytest_mesh.workloads.http1 import Message, MessageReader, ProtocolError


class ExchangeError(Exception):
    """A request that got no answer; ``failure`` is the word of ``contracts.Failure``."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


class ClientConnection(asyncio.Protocol):
    """A connection that carries one exchange at a time: the request under way, its time, and the end. What is said is a protocol's."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Message] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection gives no other
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail("reset", str(exc) if exc else "the peer closed the connection")

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def _begin(self, timeout: float) -> tuple[asyncio.Future[Message], asyncio.Transport | None]:
        """The answer to come, and where to write the request; None when the connection is gone, which the answer tells."""
        answer = self._answer = self._loop.create_future()
        self._timer = self._loop.call_later(timeout, self._fail, "timeout", f"no answer within {timeout:g} s")
        if self._transport is None or self._transport.is_closing():
            self._fail("reset", "the connection was closed")
            return answer, None
        return answer, self._transport

    def _succeed(self, message: Message) -> None:
        answer = self._settle()
        if answer is not None:
            answer.set_result(message)

    def _fail(self, failure: Failure, detail: str) -> None:
        """End the exchange without an answer, and the connection with it."""
        self.usable = False
        answer = self._settle()
        if answer is not None:
            answer.set_exception(ExchangeError(failure, detail))
        if self._transport is not None:
            self._transport.abort()

    def _settle(self) -> asyncio.Future[Message] | None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answer, self._answer = self._answer, None
        return answer if answer is not None and not answer.done() else None


class ClientProtocol(ClientConnection):
    """HTTP/1.1."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = MessageReader(responses=True)

    def send(self, data: bytes, *, timeout: float, bodyless: bool = False) -> asyncio.Future[Message]:
        """Write a request; the future gives its response or raises :class:`ExchangeError`."""
        self._reader.bodyless = bodyless
        answer, transport = self._begin(timeout)
        if transport is not None:
            transport.write(data)
        return answer

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._reader.feed(data)
        except ProtocolError as error:
            self._fail("protocol", str(error))
            return
        for message in messages:
            self._succeed(message)

    def eof_received(self) -> bool:
        message = self._reader.end()
        if message is not None:
            self._succeed(message)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        partial = "" if self._reader.idle else " in the middle of a response"
        self._fail("reset", str(exc) if exc else f"the peer closed the connection{partial}")

    def _succeed(self, message: Message) -> None:
        self.usable = self.usable and message.keep_alive
        super()._succeed(message)


async def resolve(host: str, port: int, *, within: float) -> tuple[str, int]:
    """Give the first address of ``host``; raises :class:`ExchangeError`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ExchangeError("dns", f"no answer for {host} within {within:g} s") from None
    except OSError as error:
        raise ExchangeError("dns", f"{host}: {error.strerror or error}") from error
    address = found[0][4]
    return str(address[0]), int(address[1])
