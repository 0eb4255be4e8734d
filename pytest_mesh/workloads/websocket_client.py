"""One outgoing WebSocket, on package wsproto: the first exchange upgrades the connection, each sends a text and awaits one."""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_mesh.contracts import Failure
from pytest_mesh.workloads import packages
from pytest_mesh.workloads.connections import ExchangeError
from pytest_mesh.workloads.http1 import Message

packages.reachable()

from wsproto import ConnectionType, WSConnection  # noqa: E402 - after its folder is known
from wsproto.events import (  # noqa: E402
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError  # noqa: E402

Headers = tuple[tuple[str, str], ...]


class WebSocketClient(asyncio.Protocol):
    """A connection that carries one exchange at a time. An answer's status is 101, or that of the refusal."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = WSConnection(ConnectionType.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Message] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._upgraded: Headers | None = None
        self._refused: tuple[int, Headers] = (0, ())
        self._text = ""
        self._waiting = ""
        self._refusal = bytearray()
        self._begun = False
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection gives no other
        self._transport = transport

    def send(
        self, data: tuple[str, str, list[tuple[str, str]], str], *, timeout: float, bodyless: bool = False
    ) -> asyncio.Future[Message]:
        """Send a text, after the upgrade where it is the first; the future gives the text that comes back."""
        del bodyless
        answer = self._answer = self._loop.create_future()
        self._timer = self._loop.call_later(timeout, self._fail, "timeout", f"no answer within {timeout:g} s")
        path, host, headers, text = data
        if self._transport is None or self._transport.is_closing():
            self._fail("reset", "the connection was closed")
        elif self._upgraded is None:
            self._waiting = text
            extra: Any = [(name.encode(), value.encode()) for name, value in headers]
            self._transport.write(self._socket.send(Request(host=host, target=path, extra_headers=extra)))
        else:
            self._transport.write(self._socket.send(TextMessage(data=text)))
        return answer

    def data_received(self, data: bytes) -> None:
        if not self._begun and not data.startswith(b"HTTP/"):
            self._fail("protocol", f"no HTTP: it begins with {data[:8]!r}")
            return
        self._begun = True
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                self._take(event)
        except ProtocolError as error:
            self._fail("protocol", f"no WebSocket: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail("reset", str(exc) if exc else "the peer closed the connection")

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def _take(self, event: Any) -> None:
        assert self._transport is not None  # noqa: S101 - bytes come after the connection
        if isinstance(event, AcceptConnection):
            self._upgraded = _pairs(event.extra_headers)
            self._transport.write(self._socket.send(TextMessage(data=self._waiting)))
        elif isinstance(event, RejectConnection):
            self._refused = event.status_code, _pairs(event.headers)
            if not event.has_body:
                self._refuse()
        elif isinstance(event, RejectData):
            self._refusal += event.data
            if event.body_finished:
                self._refuse()
        elif isinstance(event, Ping):
            self._transport.write(self._socket.send(event.response()))
        elif isinstance(event, CloseConnection):
            self.usable = False
            self._fail("reset", f"the peer closed the WebSocket, code {event.code}")
        elif isinstance(event, TextMessage):
            self._text += event.data
            if event.message_finished:
                text, self._text = self._text, ""
                self._settled(Message("HTTP/1.1 101", self._upgraded or (), text.encode(), True))

    def _refuse(self) -> None:
        self.usable = False
        status, headers = self._refused
        self._settled(Message(f"HTTP/1.1 {status:03}", headers, bytes(self._refusal), False))

    def _settled(self, message: Message) -> None:
        answer = self._settle()
        if answer is not None:
            answer.set_result(message)

    def _fail(self, failure: Failure, detail: str) -> None:
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


def _pairs(headers: Any) -> Headers:
    return tuple((bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in headers)
