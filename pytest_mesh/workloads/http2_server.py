"""The server's side of HTTP/2 in clear text, on package h2: requests to a handler as HTTP/1.1's are; gRPC's messages too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from pytest_mesh.workloads import packages
from pytest_mesh.workloads.http1 import Message
from pytest_mesh.workloads.server import Handler, Reply, begun, settled

packages.reachable()

from h2.config import H2Configuration  # noqa: E402 - after its folder is known
from h2.connection import H2Connection  # noqa: E402
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated  # noqa: E402
from h2.exceptions import ProtocolError  # noqa: E402

_GRPC = "application/grpc"
_FRAME = 16_384
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Http2Session:
    """One connection. Streams are answered as their requests end, each by itself."""

    def __init__(self, handler: Handler, transport: asyncio.Transport, address: tuple[str, int]) -> None:
        self._handler = handler
        self._transport = transport
        self._address = address
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._http.initiate_connection()
        self._requests: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self._unsent: dict[int, tuple[bytes, list[tuple[str, str]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flush()

    @property
    def idle(self) -> bool:
        """Whether no answer is owed."""
        return not self._requests and not self._tasks and not self._unsent

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        try:
            events = self._http.receive_data(data)
        except ProtocolError:
            self._flush()
            self._transport.close()
            return
        for event in events:
            self._take(event)
        self._flush()

    def connection_lost(self) -> None:
        """Forget what is owed."""
        for task in self._tasks:
            task.cancel()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived) and event.stream_id is not None:
            headers = [(str(name), str(value)) for name, value in event.headers or ()]
            self._requests[event.stream_id] = headers, bytearray()
        elif isinstance(event, DataReceived) and event.stream_id is not None:
            self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            if event.stream_id in self._requests:
                self._requests[event.stream_id][1].extend(event.data or b"")
        elif isinstance(event, StreamReset) and event.stream_id is not None:
            self._requests.pop(event.stream_id, None)
            self._unsent.pop(event.stream_id, None)
        elif isinstance(event, WindowUpdated):
            for stream in list(self._unsent):
                self._send_body(stream)
        elif isinstance(event, StreamEnded) and event.stream_id in self._requests:
            headers, body = self._requests.pop(event.stream_id)
            self._answer(event.stream_id, headers, bytes(body))

    def _answer(self, stream: int, headers: list[tuple[str, str]], body: bytes) -> None:
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        plain = [item for item in headers if not item[0].startswith(":")]
        grpc = any(name == "content-type" and value.startswith(_GRPC) for name, value in plain)
        if not any(name == "host" for name, _ in plain):
            plain.insert(0, ("host", pseudo.get(":authority", "")))
        message = Message(
            f"{pseudo.get(':method')} {pseudo.get(':path')} HTTP/2.0", tuple(plain), body[5:] if grpc else body, True
        )
        reply = begun(self._handler, message, self._address)
        if isinstance(reply, Reply) and not reply.delay:
            self._write(stream, reply, grpc=grpc)
            return
        task = asyncio.get_running_loop().create_task(self._answer_later(stream, message, reply, grpc=grpc))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_later(
        self, stream: int, message: Message, pending: Reply | Awaitable[Reply], *, grpc: bool
    ) -> None:
        self._write(stream, await settled(message, pending), grpc=grpc)
        self._flush()

    def _write(self, stream: int, reply: Reply, *, grpc: bool) -> None:
        headers = [(name.lower(), value) for name, value in reply.headers if name.lower() not in _HOP_BY_HOP]
        body, trailers = reply.body, []
        status = reply.status
        if grpc:
            headers = [("content-type", _GRPC)]
            body = b"\0" + len(body).to_bytes(4) + body
            # A status that is not 200 has no place in gRPC: 2 is UNKNOWN.
            trailers = [("grpc-status", "0" if status == 200 else "2")]
            status = 200
        try:
            self._http.send_headers(stream, [(":status", str(status)), *headers])
        except ProtocolError:
            return  # the stream is closed: nobody waits for the answer
        self._unsent[stream] = body, trailers
        self._send_body(stream)

    def _send_body(self, stream: int) -> None:
        """Send as much as the windows allow; the rest waits for them."""
        body, trailers = self._unsent.pop(stream)
        while body:
            room = min(self._http.local_flow_control_window(stream), _FRAME)
            if room <= 0:
                self._unsent[stream] = body, trailers
                return
            self._http.send_data(stream, body[:room])
            body = body[room:]
        if trailers:
            self._http.send_headers(stream, trailers, end_stream=True)
        else:
            self._http.end_stream(stream)

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
