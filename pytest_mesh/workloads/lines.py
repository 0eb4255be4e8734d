"""Connections that carry lines, plain or by TLS: a line from the client, a JSON ``contracts.Echo`` on a line back.

For routing by connection. The server's certificate is what its environment gives; nobody checks it.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import weakref
from pathlib import Path

from pytest_mesh.contracts import Failure
from pytest_mesh.workloads.connections import ClientConnection
from pytest_mesh.workloads.http1 import Message
from pytest_mesh.workloads.server import Handler, Reply

LONGEST_LINE = 256 * 1024
_ANSWERED = "ANSWERED 200"
"""Stands for a status line: there is no status, a line came back."""

_server_names: weakref.WeakKeyDictionary[ssl.SSLObject, str] = weakref.WeakKeyDictionary()


class LineClient(ClientConnection):
    """A connection that carries one exchange at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()

    def send(self, data: bytes, *, timeout: float, bodyless: bool = False) -> asyncio.Future[Message]:
        """Send a line; the future gives the line that comes back."""
        del bodyless
        answer, transport = self._begin(timeout)
        if transport is not None:
            transport.write(data)
        return answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            if len(self._buffer) > LONGEST_LINE:
                self._fail("protocol", f"no end of the line within {LONGEST_LINE} bytes")
            return
        self._buffer = rest
        self._succeed(Message(_ANSWERED, (), bytes(line), True))

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        failure: Failure = "tls" if isinstance(exc, ssl.SSLError) else "reset"
        self._fail(failure, str(exc) if exc else "the peer closed the connection")


class LineServer(asyncio.Protocol):
    """One connection of a server: each line is answered as a request of method TCP or TLS would be."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._start = "TCP - -"
        self._headers: tuple[tuple[str, str], ...] = ()
        self._address = ("", 0)
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server gives no other
        self._transport = transport
        address = transport.get_extra_info("sockname")
        self._address = (str(address[0]), int(address[1]))
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._start = "TLS - -"
            self._headers = (("host", _server_names.get(secured, "")),)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > LONGEST_LINE and self._transport is not None:
            self._transport.abort()
            return
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            reply = self._handler(Message(self._start, self._headers, line, True), self._address)
            if isinstance(reply, Reply) and self._transport is not None:
                self._transport.write(reply.body + b"\n")


def server_context(pem: str) -> ssl.SSLContext:
    """Give a server's context of a PEM text with certificate and key; it remembers what name each client asks for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.touch(mode=0o600)
        path.write_text(pem)
        context.load_cert_chain(path)
    context.sni_callback = _remember
    return context


def _remember(secured: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    del context
    _server_names[secured] = name or ""
