"""Where one Request goes, in which protocol, and what is sent: a URL's scheme chooses.

``http`` (HTTP/1.1), ``http2`` and ``grpc`` (HTTP/2 in clear text, with prior knowledge), ``ws`` (a WebSocket), ``tcp`` and
``tls`` (a line, and a line back). It opens connections; what is on them is each protocol's own module.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from pytest_mesh.contracts import Request
from pytest_mesh.workloads.connections import ClientProtocol, ExchangeError
from pytest_mesh.workloads.http1 import Message

DEFAULT_PORTS = {"http": 80, "http2": 80, "ws": 80, "grpc": 80}
SCHEMES = (*DEFAULT_PORTS, "tcp", "tls")
BY_CONNECTION = ("ws", "tcp", "tls")
"""Of these a proxy routes the connection, not what is sent on it."""
_NOT_IN_HTTP2 = {"connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"}
LARGEST_BODY = 32 * 1024
"""Bytes of a body over HTTP/2: within the window that every peer begins with."""


class Connection(Protocol):
    """A connection that carries one exchange at a time."""

    @property
    def usable(self) -> bool:
        """Whether another exchange may follow."""

    def send(self, data: Any, *, timeout: float, bodyless: bool = False) -> asyncio.Future[Message]:
        """Send a request; the future gives its answer or raises :class:`ExchangeError`."""

    def close(self) -> None: ...


class Target:
    """A Request, ready to be sent."""

    __slots__ = ("bodyless", "data", "held_by", "host", "kind", "port", "server_name", "timeout")

    def __init__(self, request: Request) -> None:
        """Raises ValueError for a URL that this client does not speak."""
        url = urlsplit(request.url)
        if url.scheme not in SCHEMES:
            raise ValueError(
                f"url {request.url!r}: this client speaks {', '.join(f'{one}://' for one in SCHEMES)} only"
            )
        port = url.port or DEFAULT_PORTS.get(url.scheme)
        if not url.hostname:
            raise ValueError(f"url {request.url!r} has no host")
        if not port:
            raise ValueError(f"url {request.url!r} has no port")
        self.kind, self.host, self.port, self.timeout = url.scheme, url.hostname, port, request.timeout
        self.bodyless = request.method == "HEAD"
        self.server_name = ""
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        authority = url.netloc.rpartition("@")[2]
        self.data: Any
        if self.kind == "http":
            self.data = http1_bytes(request, path, authority)
        elif self.kind == "ws":
            self.data = (path, _host(request, authority), _without_host(request), request.body)
        elif self.kind in {"http2", "grpc"}:
            self.data = _http2_parts(request, path, _host(request, authority), grpc=self.kind == "grpc")
        else:
            if "\n" in request.body:
                raise ValueError(f"url {request.url!r}: a body of {self.kind} is one line")
            self.server_name = next((value for name, value in request.headers if name.lower() == "sni"), self.host)
            self.data = request.body.encode() + b"\n"
        self.held_by = (self.kind, self.host, self.port, self.server_name)
        """What names the connection that it can share with others."""


def http1_bytes(request: Request, path: str, authority: str) -> bytes:
    """Give a request of HTTP/1.1 as it stands on the wire."""
    body = request.body.encode()
    names = {name.lower() for name, _ in request.headers}
    lines = [f"{request.method} {path} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"host: {authority}")
    if "user-agent" not in names:
        lines.append("user-agent: pytest-mesh")
    lines += [f"{name}: {value}" for name, value in request.headers]
    if body or request.method in {"POST", "PUT", "PATCH"}:
        lines.append(f"content-length: {len(body)}")
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError(f"url {request.url!r}: a line break in the method, the path or a header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


async def open_connection(target: Target, address: tuple[str, int]) -> Connection:
    """Open a connection within the target's time; raises :class:`ExchangeError`."""
    factory = _factory(target)
    context = _context() if target.kind == "tls" else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(target.timeout):
            _, protocol = await loop.create_connection(
                factory, *address, ssl=context, server_hostname=target.server_name or None if context else None
            )
    except TimeoutError:
        raise ExchangeError(
            "timeout", f"no connection to {address[0]}:{address[1]} within {target.timeout:g} s"
        ) from None
    except ssl.SSLError as error:
        raise ExchangeError("tls", str(error)) from error
    except (ConnectionResetError, BrokenPipeError) as error:
        raise ExchangeError("reset", str(error)) from error
    except OSError as error:
        raise ExchangeError("refused", f"{address[0]}:{address[1]}: {error.strerror or error}") from error
    made: Connection = protocol
    return made


def _factory(target: Target) -> Callable[[], Any]:
    # Imported when first needed: most workloads speak HTTP/1.1 alone.
    if target.kind == "http":
        return ClientProtocol
    if target.kind in {"http2", "grpc"}:
        from pytest_mesh.workloads.http2_client import Http2Client

        return Http2Client
    if target.kind == "ws":
        from pytest_mesh.workloads.websocket_client import WebSocketClient

        return WebSocketClient
    from pytest_mesh.workloads.lines import LineClient

    return LineClient


def _context() -> ssl.SSLContext:
    """Trust everybody: what is tested is which workload a server name leads to, not who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _host(request: Request, authority: str) -> str:
    return next((value for name, value in request.headers if name.lower() == "host"), authority)


def _without_host(request: Request) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in request.headers if name.lower() != "host"]


def _http2_parts(request: Request, path: str, authority: str, *, grpc: bool) -> tuple[list[tuple[str, str]], bytes]:
    body = request.body.encode()
    method, headers = request.method, _without_host(request)
    for name, _ in headers:
        if name in _NOT_IN_HTTP2:
            raise ValueError(f"url {request.url!r}: header {name} is none of HTTP/2")
    if grpc:
        body = b"\0" + len(body).to_bytes(4) + body
        method = "POST"
        headers = [("content-type", "application/grpc"), ("te", "trailers"), *headers]
    if len(body) > LARGEST_BODY:
        raise ValueError(f"url {request.url!r}: a body over HTTP/2 has {LARGEST_BODY} bytes at most, not {len(body)}")
    pseudo = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)]
    return [*pseudo, *headers], body
