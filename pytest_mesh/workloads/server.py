"""A small HTTP/1.1 server on asyncio protocols, and the echo application that runs on it.

It answers in order on each connection. A connection that begins as HTTP/2, or that asks to become a WebSocket, goes on
as that (``http2_server``, ``websocket_server``). It does not stream, and it does not do TLS: in a mesh the sidecar does.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from pytest_mesh.workloads.http1 import Message, MessageReader, ProtocolError

_log = logging.getLogger(__name__)

DELAY_HEADER = "x-mesh-delay"
"""Request header: seconds that the echo waits before it answers."""
STATUS_HEADER = "x-mesh-status"
"""Request header: the status that the echo answers with (default 200)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers with."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    delay: float = 0.0
    """Seconds to wait before the answer is sent."""


Handler = Callable[[Message, tuple[str, int]], "Reply | Awaitable[Reply]"]
"""Takes a request and the address on which it came."""


def begun(handler: Handler, message: Message, address: tuple[str, int]) -> Reply | Awaitable[Reply]:
    """Hand a request to a handler; an error of the handler's is a 500 with the reason."""
    try:
        return handler(message, address)
    except Exception as error:  # noqa: BLE001 - whoever asked waits for an answer
        return _failed(message, error)


async def settled(message: Message, pending: Reply | Awaitable[Reply]) -> Reply:
    """Give the answer when it is due; an error of the handler's is a 500 with the reason."""
    try:
        reply = pending if isinstance(pending, Reply) else await pending
        if reply.delay:
            await asyncio.sleep(reply.delay)
    except Exception as error:  # noqa: BLE001 - whoever asked waits for an answer
        return _failed(message, error)
    return reply


def _failed(message: Message, error: Exception) -> Reply:
    _log.error("%s: %s", message.start, error, exc_info=error)
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    said = f"{message.start}: the workload failed: {type(first).__name__}: {first}"
    return Reply(status=500, body=json.dumps({"error": said}).encode())


_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Session(Protocol):
    """What a connection goes on as."""

    @property
    def idle(self) -> bool:
        """Whether no answer is owed."""

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self) -> None: ...


class ServerProtocol(asyncio.Protocol):
    """One connection of a server."""

    def __init__(self, handler: Handler, open_connections: set[ServerProtocol]) -> None:
        self._handler = handler
        self._open = open_connections
        self._reader = MessageReader(responses=False)
        self._transport: asyncio.Transport | None = None
        self._address = ("", 0)
        self._waiting: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server gives no other
        self._transport = transport
        address = transport.get_extra_info("sockname")
        self._address = (str(address[0]), int(address[1]))
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open.discard(self)
        if self._session is not None:
            self._session.connection_lost()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            # PRI is no method of HTTP/1.1: it is how HTTP/2 begins.
            if data.startswith(b"PRI ") and self._transport is not None:
                from pytest_mesh.workloads.http2_server import Http2Session

                self._session = Http2Session(self._handler, self._transport, self._address)
        if self._session is not None:
            self._session.data_received(data)
            return
        try:
            messages = self._reader.feed(data)
        except ProtocolError as error:
            self._write(Reply(status=400, body=json.dumps({"error": str(error)}).encode()), close=True)
            return
        for message in messages:
            if message.header("upgrade").lower() == "websocket" and self._transport is not None and self._task is None:
                from pytest_mesh.workloads.websocket_server import WebSocketSession

                self._session = WebSocketSession(self._handler, self._transport, self._address, message)
                return
            if self._task is not None:
                self._waiting.append(message)
                continue
            reply = begun(self._handler, message, self._address)
            if isinstance(reply, Reply) and not reply.delay:
                self._write(reply, close=not message.keep_alive, head=message.start.startswith("HEAD "))
            else:
                self._task = asyncio.get_running_loop().create_task(self._answer_later(message, reply))

    async def _answer_later(self, message: Message, pending: Reply | Awaitable[Reply]) -> None:
        while True:
            reply = await settled(message, pending)
            self._write(reply, close=not message.keep_alive, head=message.start.startswith("HEAD "))
            if not self._waiting:
                break
            message = self._waiting.popleft()
            pending = begun(self._handler, message, self._address)
        self._task = None

    def close_if_idle(self) -> bool:
        """Close the connection unless an answer is owed; say whether it is closed."""
        if self._task is not None or not self._reader.idle or (self._session is not None and not self._session.idle):
            return False
        if self._transport is not None:
            self._transport.close()
        return True

    def _write(self, reply: Reply, *, close: bool, head: bool = False) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines.append(f"content-length: {len(reply.body)}")
        if close:
            lines.append("connection: close")
        text = "\r\n".join(lines) + "\r\n\r\n"
        self._transport.write(text.encode("latin-1") + (b"" if head else reply.body))
        if close:
            self._transport.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What this workload says of itself."""

    version: str = ""
    pod: str = ""
    namespace: str = ""
    service_account: str = ""

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Identity:
        """Read MESH_VERSION, POD_NAME, POD_NAMESPACE and SERVICE_ACCOUNT."""
        return cls(
            version=env.get("MESH_VERSION", ""),
            pod=env.get("POD_NAME", ""),
            namespace=env.get("POD_NAMESPACE", ""),
            service_account=env.get("SERVICE_ACCOUNT", ""),
        )


@dataclass(slots=True)
class EchoApplication:
    """Answers every request with a JSON ``contracts.Echo``; ``version`` and ``pod`` come first, in that order."""

    identity: Identity
    _prefix: str = field(init=False)

    def __post_init__(self) -> None:
        me = self.identity
        fields = {
            "version": me.version,
            "pod": me.pod,
            "namespace": me.namespace,
            "service_account": me.service_account,
        }
        self._prefix = json.dumps(fields, separators=(",", ":"))[:-1] + ","

    def __call__(self, message: Message, address: tuple[str, int]) -> Reply:
        method, path, _ = message.start.split(" ")
        rest = {
            "address": address[0],
            "port": address[1],
            "method": method,
            "path": path,
            "host": message.header("host"),
            "headers": message.headers,
            "body": message.body.decode("utf-8", "replace"),
        }
        body = (self._prefix + json.dumps(rest, separators=(",", ":"))[1:]).encode()
        try:
            delay = float(message.header(DELAY_HEADER) or 0)
            status = int(message.header(STATUS_HEADER) or 200)
        except ValueError:
            return Reply(status=400, body=b'{"error":"x-mesh-delay and x-mesh-status take numbers"}')
        return Reply(status=status, body=body, delay=delay)
