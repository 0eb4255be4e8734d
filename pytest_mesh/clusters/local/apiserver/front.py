"""Where every request comes in: who asks, whether they may, whose it is, and errors as ``Status`` objects.

It stands on aiohttp's low-level server, without an Application's routing and middlewares: routing is for the few requests
that stream, everything else is ``serving``'s.
"""

from __future__ import annotations

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING

from aiohttp import web

from pytest_mesh.clusters.local.apiserver import errors, impersonation, rights, serving
from pytest_mesh.clusters.local.apiserver.errors import StatusError

if TYPE_CHECKING:
    import asyncio
    import socket
    import ssl

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler

    from pytest_mesh.clusters.local.apiserver.server import Server

logger = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024
"""Bytes of a request's body, kube-apiserver's own bound."""

SLOW = 1.0
"""Seconds after which a request is logged."""

STREAMED = frozenset(("log", "exec", "attach", "portforward", "proxy"))
"""The subresources of which ``streaming`` may have a route."""

ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
"""The warning that Kubernetes gives with every answer about Endpoints."""


class Request(web.Request):
    """A request; ``match_info`` is there if a stream's route was found for it."""

    ATTRS = web.Request.ATTRS | {"found"}
    found: web.UrlMappingMatchInfo

    @property
    def match_info(self) -> web.UrlMappingMatchInfo:
        return self.found


def runner(server: Server, *, shutdown_timeout: float) -> web.ServerRunner:
    """Give what serves ``server``'s API on the sites that are made for it; ``shutdown_timeout`` is in seconds."""
    front = _Front(server)
    listening = web.Server(front.handle, request_factory=front.request, handler_cancellation=True, access_log=None)
    return web.ServerRunner(listening, shutdown_timeout=shutdown_timeout)


async def listen(
    runner: web.ServerRunner, loopback: socket.socket, node: tuple[str, int], context: ssl.SSLContext
) -> None:
    """Serve over TLS on a socket that listens already, and at the node's address and port."""
    await web.SockSite(runner, loopback, ssl_context=context).start()
    await web.TCPSite(runner, *node, ssl_context=context).start()


class _Front:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._dispatcher = serving.Dispatcher(server)

    @cached_property
    def _streams(self) -> web.UrlDispatcher:
        """The routes of the requests that stream; what serves them is imported when the first of them comes."""
        from pytest_mesh.clusters.local.apiserver import streaming

        found = web.UrlDispatcher()
        found.add_routes(streaming.routes(self._server))
        return found

    @staticmethod
    def request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Request:
        return Request(message, payload, protocol, writer, task, task.get_loop(), client_max_size=MAX_BODY)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever becomes of it."""
        assert isinstance(request, Request)  # noqa: S101 - for the type checker: the factory is above
        begun = time.monotonic()
        try:
            return await self._answered(request)
        except errors.NoPageError:
            return web.Response(status=404, text="404 page not found\n")
        except StatusError as error:
            return serving.answer(error.to_json(), error.code)
        except web.HTTPException as error:
            reason = {413: "RequestEntityTooLarge", 405: "MethodNotAllowed"}.get(error.status, "Unknown")
            text = (
                f"Request entity too large: limit is {MAX_BODY}" if error.status == 413 else error.text or error.reason
            )
            return serving.answer(StatusError(error.status, reason, text).to_json(), error.status)
        except ConnectionError:
            raise
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path_qs)
            status = StatusError(500, "InternalError", f"Internal error occurred: {error!r}")
            return serving.answer(status.to_json(), 500)
        finally:
            passed = time.monotonic() - begun
            if passed > SLOW and "watch" not in request.query and "follow" not in request.query:
                logger.debug("%s %s took %.2f s", request.method, request.path_qs, passed)

    async def _answered(self, request: Request) -> web.StreamResponse:
        """Let a request through if its user is known and may do what it asks."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        server = self._server
        user = server.authenticator.authenticate(request.headers)
        user = request[serving.USER] = impersonation.acting(user, request.headers, server.authorizer)
        wish = rights.wish_of(request.method, request.path, request.query)
        server.authorizer.check(user, wish)
        if wish.subresource in STREAMED:
            found = await self._streams.resolve(request)
            if found.http_exception is None:
                request.found = found
                return await found.handler(request)
        response = await self._dispatcher.handle(request)
        if wish.resource == "endpoints" and not (wish.subresource or wish.group or response.prepared):
            response.headers.add("Warning", f'299 - "{ENDPOINTS}"')
        return response
