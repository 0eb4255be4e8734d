"""HTTP/1.1 messages over bytes: one incremental reader for requests and for responses. Pure: no sockets, no clock.

It reads what a workload and a proxy send each other; it does not do upgrades, trailers' meaning or content codings.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEAD = 256 * 1024
"""Bytes of a start line with its headers; more is a protocol error."""

Headers = tuple[tuple[str, str], ...]


class ProtocolError(Exception):
    """Bytes that are no HTTP/1.1 message; the message says which."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request or response; header names in lower case, in order."""

    start: str
    headers: Headers
    body: bytes
    keep_alive: bool

    def header(self, name: str) -> str:
        """Give the first header of this lower-case name, or an empty string."""
        return next((value for key, value in self.headers if key == name), "")


class MessageReader:
    """Takes bytes as they come and gives complete messages.

    ``responses`` chooses what is read. For a response to HEAD set
    :attr:`bodyless` before its bytes are fed.
    """

    def __init__(self, *, responses: bool) -> None:
        self._responses = responses
        self._buffer = bytearray()
        self._head: tuple[str, Headers, bool] | None = None
        self._length: int | None = 0
        self._chunked = False
        self._chunks = bytearray()
        self._body_from = 0
        self.bodyless = False

    @property
    def idle(self) -> bool:
        """Whether no byte of an unfinished message is held."""
        return not self._buffer and self._head is None

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes; give the messages that they complete. Raises :class:`ProtocolError`."""
        self._buffer += data
        messages: list[Message] = []
        while self._buffer or self._head is not None:
            if self._head is None and not self._read_head():
                break
            message = self._read_body()
            if message is None:
                break
            messages.append(message)
        return messages

    def end(self) -> Message | None:
        """Tell of the end of the stream; give the response whose body it ends, if that is how it ends."""
        if self._head is not None and self._length is None and not self._chunked:
            body = bytes(self._buffer)
            self._buffer.clear()
            return self._finish(body, keep_alive=False)
        return None

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n" and not self._responses:
            del self._buffer[:2]
        if self._buffer and not 0x21 <= self._buffer[0] <= 0x7E:
            # A TLS handshake, most likely: its sender waits, so it is told at once.
            raise ProtocolError(f"no HTTP: it begins with {bytes(self._buffer[:8])!r}")
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise ProtocolError(f"no end of the headers within {MAX_HEAD} bytes")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        start = lines[0]
        headers = []
        length: int | None = None
        chunked = False
        keep_alive = not (start.endswith("HTTP/1.0") or start.startswith("HTTP/1.0"))
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise ProtocolError(f"no colon in the header line {line!r}")
            name, value = name.lower(), value.strip()
            headers.append((name, value))
            if name == "content-length":
                if not value.isdecimal():
                    raise ProtocolError(f"content-length {value!r}")
                length = int(value)
            elif name == "transfer-encoding":
                chunked = value.lower() == "chunked"
            elif name == "connection":
                keep_alive = "close" not in value.lower()
        self._check_start(start)
        if self._responses:
            if start[9:10] == "1":
                return self._read_head() if self._buffer else False
            if self.bodyless or start[9:12] in {"204", "304"}:
                length, chunked = 0, False
        elif length is None:
            length = 0
        self._head = (start, tuple(headers), keep_alive)
        self._length, self._chunked = length, chunked
        return True

    def _check_start(self, start: str) -> None:
        if self._responses:
            if not (start.startswith("HTTP/1.") and start[9:12].isdecimal()):
                raise ProtocolError(f"no status line: {start[:80]!r}")
        elif len(start.split(" ")) != 3:
            raise ProtocolError(f"no request line: {start[:80]!r}")

    def _read_body(self) -> Message | None:
        if self._chunked:
            return self._read_chunks()
        if self._length is None:
            return None
        if len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        return self._finish(body)

    def _read_chunks(self) -> Message | None:
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                return None
            size_text = bytes(self._buffer[:line_end]).split(b";")[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise ProtocolError(f"chunk size {size_text[:20]!r}") from None
            if size == 0:
                end = self._buffer.find(b"\r\n\r\n", line_end)
                if self._buffer[line_end : line_end + 4] == b"\r\n\r\n":
                    end = line_end
                if end < 0:
                    return None
                del self._buffer[: end + 4]
                body = bytes(self._chunks)
                self._chunks.clear()
                return self._finish(body)
            if len(self._buffer) < line_end + 2 + size + 2:
                return None
            self._chunks += self._buffer[line_end + 2 : line_end + 2 + size]
            del self._buffer[: line_end + 2 + size + 2]

    def _finish(self, body: bytes, *, keep_alive: bool | None = None) -> Message:
        head, self._head = self._head, None
        if head is None:
            raise ProtocolError("a body without a head")
        start, headers, alive = head
        return Message(start, headers, body, alive if keep_alive is None else keep_alive)
