"""The server's side of a WebSocket, on package wsproto: each text is answered as a request would be, its body the text."""

from __future__ import annotations

import asyncio
import base64
import hashlib

from pytest_mesh.workloads import packages
from pytest_mesh.workloads.http1 import Message
from pytest_mesh.workloads.server import Handler, Reply

packages.reachable()

from wsproto.connection import Connection, ConnectionType  # noqa: E402 - after its folder is known
from wsproto.events import CloseConnection, Ping, TextMessage  # noqa: E402
from wsproto.utilities import ProtocolError  # noqa: E402

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


class WebSocketSession:
    """One connection, from the request that upgrades it on."""

    idle = True
    """Whether no answer is owed: texts are answered at once."""

    def __init__(
        self, handler: Handler, transport: asyncio.Transport, address: tuple[str, int], request: Message
    ) -> None:
        self._handler = handler
        self._transport = transport
        self._address = address
        self._request = request
        self._frames = Connection(ConnectionType.SERVER)
        self._text = ""
        digest = hashlib.sha1(request.header("sec-websocket-key").encode() + _MAGIC, usedforsecurity=False).digest()
        accept = base64.b64encode(digest).decode()
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            + f"sec-websocket-accept: {accept}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._take(event)
        except ProtocolError:
            self._transport.close()

    def connection_lost(self) -> None:
        """Nothing is owed."""

    def _take(self, event: object) -> None:
        if isinstance(event, Ping):
            self._transport.write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection):
            self._transport.write(self._frames.send(event.response()))
            self._transport.close()
        elif isinstance(event, TextMessage):
            self._text += event.data
            if event.message_finished:
                text, self._text = self._text, ""
                message = Message(self._request.start, self._request.headers, text.encode(), True)
                reply = self._handler(message, self._address)
                body = reply.body.decode() if isinstance(reply, Reply) else ""
                self._transport.write(self._frames.send(TextMessage(data=body)))
