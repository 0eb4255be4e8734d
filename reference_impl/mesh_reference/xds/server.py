"""ADS over gRPC: takes streams, reads who calls, and gives each stream its session.

On the TLS port a caller proves its service account, and may speak only for proxies of that account.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf import json_format

from mesh_reference import tasks
from mesh_reference.ca.authentication import REFUSAL, AuthenticationError
from mesh_reference.model.proxies import Proxy, UnknownNode, read_node
from mesh_reference.xds import status_streams
from mesh_reference.xds.dialects import SERVICE, Delta, Dialect, StateOfTheWorld
from mesh_reference.xds.session import Session

if TYPE_CHECKING:
    from mesh_reference.ca.authentication import Caller
    from mesh_reference.xds.hub import Hub

logger = logging.getLogger(__name__)


class Authenticator(Protocol):
    """The part of the certificate authority's room that is used here."""

    async def authenticate(self, metadata: Any) -> Caller:
        """Raises AuthenticationError."""
        ...


def register(server: grpc.aio.Server, hub: Hub, authenticator: Authenticator | None) -> None:
    """Add both forms of ADS to ``server`` before it starts. Without an authenticator anyone may ask: for plaintext."""
    service = _Service(hub, authenticator)
    dialects: tuple[Dialect, ...] = (StateOfTheWorld(), Delta())
    handlers = {
        dialect.method: grpc.stream_stream_rpc_method_handler(
            service.handler(dialect),
            request_deserializer=dialect.request_type.FromString,  # responses are bytes already
        )
        for dialect in dialects
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


Handler = Callable[[AsyncIterator[Any], grpc.aio.ServicerContext], Awaitable[None]]


class _Service:
    def __init__(self, hub: Hub, authenticator: Authenticator | None) -> None:
        self._hub = hub
        self._authenticator = authenticator

    def handler(self, dialect: Dialect) -> Handler:
        async def handle(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> None:
            caller = await self._caller(context)
            first = await anext(aiter(requests), None)
            if first is None:
                return
            if first.type_url in status_streams.TYPES and isinstance(dialect, StateOfTheWorld):
                await status_streams.serve(first, requests, context, self._hub, caller)
                return
            proxy = await self._proxy(first, caller, context)
            limits = self._hub.configuration.settings
            if self._hub.streams >= limits.max_streams:
                logger.warning("refused %s: %d streams are open", proxy.id, self._hub.streams)
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams; try again later")

            writer = _Writer(context, limits.send_timeout)
            session = Session(proxy, context.peer(), dialect, self._hub.configuration, writer.write)
            await session.receive(first)
            self._hub.add(session)
            logger.info("%s connected from %s (%s)", proxy.id, context.peer(), dialect.method)
            reader = asyncio.create_task(_read(requests, session), name=f"read {proxy.id}")
            try:
                with writer:
                    await session.run()
            except TimeoutError:
                logger.warning("%s took nothing for %.0f s: cut off", proxy.id, limits.send_timeout)
            finally:
                self._hub.remove(session)
                logger.info("%s disconnected from %s", proxy.id, context.peer())
                await tasks.end(reader)
            if writer.stalled:
                # The status waits behind the response that is not taken: nobody here waits for it.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the proxy does not read")

        return handle

    async def _caller(self, context: grpc.aio.ServicerContext) -> Caller | None:
        if self._authenticator is None:
            return None
        try:
            return await self._authenticator.authenticate(context.invocation_metadata())
        except AuthenticationError as error:
            logger.warning("refused %s: %s", context.peer(), error)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)
            raise

    async def _proxy(self, request: Any, caller: Caller | None, context: grpc.aio.ServicerContext) -> Proxy:
        node = request.node
        try:
            where = (node.locality.region, node.locality.zone, node.locality.sub_zone)
            proxy = read_node(node.id, json_format.MessageToDict(node.metadata), where)
        except UnknownNode as error:
            logger.warning("refused %s: %s", context.peer(), error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        if caller is not None and (problem := foreign(proxy, caller)):
            logger.warning("refused %s: %s", context.peer(), problem)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"authorization failed: {problem}")
        return proxy


class _Writer:
    """Writes the responses of one stream; ends its task with TimeoutError where one is not taken for ``limit`` seconds.

    One timer for all of them: a timeout of its own for each costs as much as the push itself.
    """

    def __init__(self, context: grpc.aio.ServicerContext, limit: float) -> None:
        self._context = context
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self.stalled = False

    async def write(self, response: bytes) -> None:
        self._since = self._loop.time()
        await self._context.write(response)
        self._since = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._look()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._timer.cancel()
        if self.stalled and self._task is not None and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise TimeoutError

    def _look(self) -> None:
        now = self._loop.time()
        due = (self._since or now) + self._limit
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
        elif self._task is not None:
            self.stalled = True
            self._task.cancel()


def foreign(proxy: Proxy, caller: Caller) -> str:
    """Why this caller may not speak for the proxy; empty when it may. A token of a Pod speaks for that Pod only."""
    mine = f"{caller.namespace}/{caller.service_account}"
    if (proxy.namespace, proxy.service_account) != (caller.namespace, caller.service_account):
        return f"the caller is {mine}, the node claims {proxy.namespace}/{proxy.service_account or 'no account'}"
    if proxy.id != f"{caller.pod_name or proxy.id.rpartition('.')[0]}.{caller.namespace}":
        return f"the caller is pod {caller.pod_name} of {mine}, the node claims {proxy.id}"
    return ""


async def _read(requests: AsyncIterator[Any], session: Session) -> None:
    try:
        async for request in requests:
            await session.receive(request)
    except grpc.RpcError as error:
        logger.debug("the stream of %s broke: %s", session.proxy.id, error)
    finally:
        session.close()
