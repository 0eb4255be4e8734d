"""One outgoing WebSocket, on package wsproto: the first exchange upgrades the connection, each sends a text and awaits one."""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_mesh.workloads import packages
from pytest_mesh.workloads.connections import ClientConnection
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


class WebSocketClient(ClientConnection):
    """A connection that carries one exchange at a time. An answer's status is 101, or that of the refusal."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = WSConnection(ConnectionType.CLIENT)
        self._upgraded: Headers | None = None
        self._refused: tuple[int, Headers] = (0, ())
        self._text = ""
        self._waiting = ""
        self._refusal = bytearray()
        self._begun = False

    def send(
        self, data: tuple[str, str, list[tuple[str, str]], str], *, timeout: float, bodyless: bool = False
    ) -> asyncio.Future[Message]:
        """Send a text, after the upgrade where it is the first; the future gives the text that comes back."""
        del bodyless
        path, host, headers, text = data
        answer, transport = self._begin(timeout)
        if transport is not None and self._upgraded is None:
            self._waiting = text
            extra: Any = [(name.encode(), value.encode()) for name, value in headers]
            transport.write(self._socket.send(Request(host=host, target=path, extra_headers=extra)))
        elif transport is not None:
            transport.write(self._socket.send(TextMessage(data=text)))
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
                self._succeed(Message("HTTP/1.1 101", self._upgraded or (), text.encode(), True))

    def _refuse(self) -> None:
        self.usable = False
        status, headers = self._refused
        self._succeed(Message(f"HTTP/1.1 {status:03}", headers, bytes(self._refusal), False))


def _pairs(headers: Any) -> Headers:
    return tuple((bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in headers)
