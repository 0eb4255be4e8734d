"""HTTP/1.1 in small: a server for the agent's few paths, and a client for Envoy's admin port and the application.

It deliberately knows no keep-alive, no bodies of requests and no streaming:
one request, one answer, closed. A framework would cost the agent more to import
than all the rest of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh_reference.agent import connections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

logger = logging.getLogger(__name__)

READ_SECONDS = 10.0
_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
"""Applications may answer with a status that has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request as a handler sees it."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    local: bool
    """Whether the peer's address is a loopback one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, given or received."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def serve(
    host: str, port: int, handler: Callable[[Incoming], Awaitable[Answer]]
) -> AsyncIterator[asyncio.Server]:
    """Answer on ``host:port`` while the context lasts."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            peer = writer.get_extra_info("peername") or ("",)
            answer = await _handled(_parsed(head, str(peer[0])), handler)
            reason = _PHRASES.get(answer.status, "")
            writer.write(
                f"HTTP/1.1 {answer.status} {reason}\r\ncontent-type: {answer.content_type}\r\n"
                f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n".encode()
            )
            writer.write(answer.body)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            logger.debug("a connection to %s:%d ended early: %r", host, port, error)

    async with connections.listening(connected, host, port) as server:
        yield server


def _parsed(head: str, peer: str) -> Incoming:
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    local = peer == "::1" or peer.removeprefix("::ffff:").startswith("127.")
    return Incoming(method=method, path=target.partition("?")[0], headers=headers, local=local)


async def _handled(request: Incoming, handler: Callable[[Incoming], Awaitable[Answer]]) -> Answer:
    try:
        return await handler(request)
    except Exception:  # the server's edge: one bad request must not end the agent
        logger.exception("%s %s failed", request.method, request.path)
        return Answer(status=500, body=b"the agent's log has the reason\n")


async def fetch(
    host: str,
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    seconds: float = 1.0,
    tls: bool = False,
    source: str = "",
) -> Answer:
    """Ask once and read the whole answer. Raises OSError (TimeoutError after ``seconds``) when there is none.

    With ``tls`` the server's certificate is not judged (a probe, as the kubelet
    makes it). ``source`` is the local address to call from.
    """
    return await asyncio.to_thread(_fetch, host, port, path, method, dict(headers or {}), seconds, tls, source)


def _fetch(
    host: str, port: int, path: str, method: str, headers: dict[str, str], seconds: float, tls: bool, source: str
) -> Answer:
    import http.client

    local = (source, 0) if source else None
    connection: http.client.HTTPConnection
    if tls:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=seconds, source_address=local, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=seconds, source_address=local)
    with contextlib.closing(connection):
        try:
            connection.request(method, path, headers={"connection": "close", **headers})
            answer = connection.getresponse()
            return Answer(
                status=answer.status,
                body=answer.read(),
                content_type=answer.headers.get("content-type", ""),
                headers=dict(answer.headers),
            )
        except http.client.HTTPException as error:
            raise ConnectionError(f"{host}:{port}{path} gave no HTTP answer: {error!r}") from error
