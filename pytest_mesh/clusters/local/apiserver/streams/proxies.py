"""``pods/proxy`` and ``services/proxy``: an HTTP reverse proxy that streams both ways, WebSockets included.

A new TCP connection for each request, from the node's network namespace. It rewrites nothing in
bodies or ``Location`` headers, and follows no redirect.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

import aiohttp
import yarl
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from pytest_mesh.clusters.local.apiserver.streams import bodies, targets
from pytest_mesh.clusters.local.races import first_of

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.streams.targets import Location

logger = logging.getLogger(__name__)

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_UNWANTED_DEFAULTS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")

_WEBSOCKET_HEADERS = frozenset(
    {
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "sec-websocket-accept",
    }
)


async def serve(request: web.Request, location: Location) -> web.StreamResponse:
    """Pass a request on to ``location`` and its answer back; raises StatusError 503 if nobody answers."""
    url = _url(request, location)
    headers = _forwarded(request)
    tls = _any_certificate() if location.scheme == "https" else False
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        skip_auto_headers=_UNWANTED_DEFAULTS,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _websocket(request, session, url, headers, tls)
            return await _plain(request, session, url, headers, tls)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise targets.unavailable(f"error trying to reach service: {_reason(error, location)}") from error


def _url(request: web.Request, location: Location) -> yarl.URL:
    # "/api/v1/namespaces/NS/pods/TARGET/proxy/REST", cut as it came: an escaped slash must stay escaped.
    parts = request.rel_url.raw_path.split("/", 8)
    path = "/" + (parts[8] if len(parts) > 8 else "")
    authority = f"{location.host}:{location.port}"
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    return yarl.URL(f"{location.scheme}://{authority}{path}{query}", encoded=True)


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    """Give the headers to pass on: none of this hop's, none of the API server's credentials."""
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers: CIMultiDict[str] = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named and name.lower() != "authorization"
    )
    headers.add("X-Forwarded-For", request.remote or "unknown")
    headers["X-Forwarded-Uri"] = request.rel_url.raw_path
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    return headers


async def _plain(
    request: web.Request,
    session: aiohttp.ClientSession,
    url: yarl.URL,
    headers: CIMultiDict[str],
    tls: ssl.SSLContext | bool,
) -> web.StreamResponse:
    body = request.content if request.body_exists else None
    async with session.request(
        request.method, url, headers=headers, data=body, allow_redirects=False, ssl=tls
    ) as answer:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers.add(name, value)
        await response.prepare(request)
        if request.method != "HEAD":
            await bodies.pump(request, response, answer.content)
        await response.write_eof()
    return response


async def _websocket(
    request: web.Request,
    session: aiohttp.ClientSession,
    url: yarl.URL,
    headers: CIMultiDict[str],
    tls: ssl.SSLContext | bool,
) -> web.StreamResponse:
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one.strip()]
    passed = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _WEBSOCKET_HEADERS)
    async with session.ws_connect(
        url, headers=passed, protocols=offered, ssl=tls, max_msg_size=0, compress=0, autoclose=False
    ) as pod:
        client = web.WebSocketResponse(
            protocols=(pod.protocol,) if pod.protocol else (), max_msg_size=0, compress=False
        )
        await client.prepare(request)

        async def carry(
            source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
            sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        ) -> None:
            async for message in source:
                if message.type == WSMsgType.TEXT:
                    await sink.send_str(message.data)
                elif message.type == WSMsgType.BINARY:
                    await sink.send_bytes(message.data)

        try:
            await first_of(carry(client, pod), carry(pod, client))
        except ConnectionError as error:
            logger.debug("proxy: a peer has gone: %s", error)
        await pod.close()
        await client.close()
        return client


def _any_certificate() -> ssl.SSLContext:
    """Make the context of ``https:name``: as in Kubernetes, the Pod's certificate is not judged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception, location: Location) -> str:
    """Word a failure as Go's net/http does."""
    cause: BaseException = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionRefusedError):
        return f"dial tcp {location.host}:{location.port}: connect: connection refused"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, TimeoutError):
        return f"dial tcp {location.host}:{location.port}: i/o timeout"
    return str(cause) or type(cause).__name__
