"""One HTTPS connection with as little of its own as can be, so that a server is measured and not its client.

It knows answers as a Kubernetes API server gives them; no redirects, no trailers, nothing else on a connection that
has become a stream.
"""

from __future__ import annotations

import socket
import ssl
from typing import Self
from urllib.parse import urlsplit

READ = 1 << 18


class Connection:
    """A connection to ``url`` (``https://HOST:PORT``) with a bearer token."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        plain = socket.create_connection((parts.hostname, parts.port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = ssl._create_unverified_context().wrap_socket(plain, server_hostname="localhost")
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        """Send a request and return at once."""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}"
        if body:
            head += "Content-Type: application/json\r\n"
        self.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def receive(self) -> tuple[int, bytes]:
        """Wait for an answer; gives its status and body."""
        status, head = self._head_of_answer()
        at = head.find(b"\r\ncontent-length: ")
        if at < 0:
            return status, self._chunked()
        length = int(head[at + 18 :].partition(b"\r\n")[0])
        body = bytearray(self._left)
        while len(body) < length:
            body += self._more()
        self._left = bytes(body[length:])
        return status, bytes(body[:length])

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and wait for its answer."""
        self.send(method, path, body)
        return self.receive()

    def follow(self, path: str) -> None:
        """Ask for a stream and read its head; :meth:`pieces` reads on."""
        self.send("GET", path)
        status, head = self._head_of_answer()
        assert status == 200, head

    def pieces(self) -> bytes:
        """Give what has come of a stream, its chunks' sizes among it; waits if there is nothing."""
        data, self._left = self._left or self._more(), b""
        while self.socket.pending():
            data += self._more()
        return data

    def _head_of_answer(self) -> tuple[int, bytes]:
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        self._left = data[end + 4 :]
        return int(data[9:12]), data[: end + 2].lower()

    def _chunked(self) -> bytes:
        body, data = bytearray(), bytearray(self._left)
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._more()
            size = int(data[:end], 16)
            while len(data) < end + size + 4:
                data += self._more()
            body += data[end + 2 : end + 2 + size]
            del data[: end + size + 4]
            if not size:
                self._left = bytes(data)
                return bytes(body)

    def _more(self) -> bytes:
        data = self.socket.recv(READ)
        assert data, "the server closed the connection"
        return data
