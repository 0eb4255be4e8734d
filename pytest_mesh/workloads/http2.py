"""One outgoing HTTP/2 connection in clear text, begun with prior knowledge: one GET at a time, status and body read.

Standard library only, and no more of RFC 9113 than that: it announces an empty
header table, so that every ``:status`` is a static index or a literal, and reads
no other header. It never retries.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_mesh.workloads.connections import ExchangeError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
LARGEST_WINDOW = 2**31 - 1
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW = 1, 2, 4
_FIRST_WINDOW = 65_535
_STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
"""Of HPACK's static table (RFC 7541, appendix A)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: ``status`` is 0 when it is none of the seven that HPACK has an index for."""

    status: int
    body: bytes


class Http2Protocol(asyncio.Protocol):
    """A connection that carries one exchange at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._stream = -1
        self._status = 0
        self._body = bytearray()
        self._unreturned = 0
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection gives no other
        self._transport = transport
        settings = struct.pack(">HIHIHI", _HEADER_TABLE_SIZE, 0, _ENABLE_PUSH, 0, _INITIAL_WINDOW, LARGEST_WINDOW)
        wider = struct.pack(">I", LARGEST_WINDOW - _FIRST_WINDOW)
        transport.write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, wider))

    async def get(self, url: str, *, within: float) -> Answer:
        """GET ``url`` on this connection, within so many seconds; raises :class:`ExchangeError`."""
        self._stream += 2
        self._status, self._body = 0, bytearray()
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        if self._transport is None or self._transport.is_closing():
            raise ExchangeError("reset", "the connection was closed")
        self._transport.write(frame(HEADERS, END_HEADERS | END_STREAM, self._stream, request_headers(url)))
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            self.close()
            raise ExchangeError("timeout", f"no answer within {within:g} s") from None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3])
            if len(self._buffer) < 9 + length:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9]) & LARGEST_WINDOW
            payload = bytes(self._buffer[9 : 9 + length])
            del self._buffer[: 9 + length]
            self._take(kind, flags, stream, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(f"{exc}" if exc else "the peer closed the connection")

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - bytes come after the connection
        if kind == SETTINGS and not flags & ACK:
            self._transport.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            # What is in flight may still be answered; the next request needs another connection.
            self.usable = False
        elif kind == RST_STREAM and stream == self._stream:
            self._fail(f"the stream was reset, code {int.from_bytes(payload)}")
        elif kind == HEADERS and stream == self._stream:
            self._status = self._status or status_of(unpadded(flags, payload))
        elif kind == DATA:
            self._return_window(len(payload))
            if stream == self._stream:
                self._body += unpadded(flags & ~PRIORITY, payload)
        if kind in {HEADERS, DATA} and stream == self._stream and flags & END_STREAM:
            answer, self._answer = self._answer, None
            if answer is not None and not answer.done():
                answer.set_result(Answer(self._status, bytes(self._body)))

    def _return_window(self, taken: int) -> None:
        self._unreturned += taken
        if self._unreturned > _FIRST_WINDOW and self._transport is not None:
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._unreturned)))
            self._unreturned = 0

    def _fail(self, detail: str) -> None:
        self.usable = False
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ExchangeError("reset", detail))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Give a frame's bytes."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def request_headers(url: str) -> bytes:
    """Give the header block of a GET: literals without indexing, no Huffman coding."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # 0x82 and 0x86 are the static table's :method GET and :scheme http; 4 is :path, 1 is :authority.
    return b"\x82\x86" + b"\x04" + _text(path) + b"\x01" + _text(parts.netloc)


def status_of(block: bytes) -> int:
    """Give the status of a response's header block, whose first field it is (RFC 9113 §8.3)."""
    at = 0
    while at < len(block) and block[at] & 0xE0 == 0x20:
        at += 1  # a change of the dynamic table's size, to the zero that was asked for
    return _STATUSES.get(block[at] & 0x7F, 0) if at < len(block) and block[at] & 0x80 else 0


def unpadded(flags: int, payload: bytes) -> bytes:
    """Take padding and priority off a frame's payload."""
    if flags & PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if flags & PRIORITY else payload


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, out = len(data) - 127, bytearray(b"\x7f")
    while rest >= 128:
        out.append(rest % 128 | 128)
        rest //= 128
    out.append(rest)
    return bytes(out) + data
