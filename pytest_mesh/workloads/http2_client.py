"""One outgoing HTTP/2 connection in clear text, begun with prior knowledge, on package h2; gRPC's messages too.

One exchange at a time; trailers come after the headers. It never retries.
"""

from __future__ import annotations

import asyncio

from pytest_mesh.contracts import Failure
from pytest_mesh.workloads import packages
from pytest_mesh.workloads.connections import ClientConnection, ExchangeError
from pytest_mesh.workloads.http1 import Message

packages.reachable()

from h2.config import H2Configuration  # noqa: E402 - after its folder is known
from h2.connection import H2Connection  # noqa: E402
from h2.events import (  # noqa: E402
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError  # noqa: E402

_WINDOW = 2**24
_FRAME = 16_384
"""Bytes of a frame that every peer takes."""
_SETTINGS = 4
"""Type of the frame that every server begins with; the type is a frame's fourth byte."""


class Http2Client(ClientConnection):
    """A connection that carries one exchange at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._stream = 0
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._begun = False
        self._problem: tuple[Failure, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW)
        self._flush()

    def send(
        self, data: tuple[list[tuple[str, str]], bytes], *, timeout: float, bodyless: bool = False
    ) -> asyncio.Future[Message]:
        """Send a request's headers and body; the future gives its response or raises :class:`ExchangeError`."""
        del bodyless  # HTTP/2 says where a message ends
        headers, body = data
        self._headers, self._body = [], bytearray()
        answer, transport = self._begin(timeout)
        if transport is None:
            return answer
        try:
            self._stream = self._http.get_next_available_stream_id()
            self._http.send_headers(self._stream, headers, end_stream=not body)
            for start in range(0, len(body), _FRAME):
                self._http.send_data(self._stream, body[start : start + _FRAME], end_stream=start + _FRAME >= len(body))
        except ProtocolError as error:
            self._fail("protocol", str(error))
        self._flush()
        return answer

    def data_received(self, data: bytes) -> None:
        if not self._begun and len(data) > 3 and data[3] != _SETTINGS:
            self._fail("protocol", f"no HTTP/2: it begins with {data[:8]!r}")
            return
        self._begun = True
        try:
            events = self._http.receive_data(data)
        except ProtocolError as error:
            self._flush()
            self._fail("protocol", f"no HTTP/2: {error}")
            return
        for event in events:
            self._take(event)
        self._flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            # What is under way may still be answered; the next request needs another connection.
            self.usable = False
            if event.last_stream_id is not None and event.last_stream_id < self._stream:
                self._fail("reset", f"the peer said goodbye, code {event.error_code}")
        elif isinstance(event, DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            self._body += event.data or b""
        elif isinstance(event, ResponseReceived | TrailersReceived):
            self._headers += [(str(name), str(value)) for name, value in event.headers or ()]
        elif isinstance(event, StreamReset):
            self._reset_stream(f"the stream was reset, code {event.error_code}")
        elif isinstance(event, StreamEnded):
            self._respond()

    def _respond(self) -> None:
        status = next((value for name, value in self._headers if name == ":status"), "000")
        headers = tuple(item for item in self._headers if not item[0].startswith(":"))
        body = bytes(self._body)
        if any(item[0] == "grpc-status" for item in headers):
            body = body[5:]  # one message: a flag and its length come before it
        self._succeed(Message(f"HTTP/2.0 {status}", headers, body, self.usable))

    def _fail(self, failure: Failure, detail: str) -> None:
        """What ends a connection between two requests is told to the next one."""
        if self._problem is None and self._answer is None:
            self._problem = failure, detail
        super()._fail(*(self._problem or (failure, detail)))

    def _reset_stream(self, detail: str) -> None:
        """One exchange ends without an answer; the connection stays."""
        answer = self._settle()
        if answer is not None:
            answer.set_exception(ExchangeError("reset", detail))

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
