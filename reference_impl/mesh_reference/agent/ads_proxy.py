"""Envoy's configuration stream, carried from a Unix socket to istiod as raw bytes.

Of what it carries it reads nothing, unless the agent answers names: then it asks for the name table on
the same stream, and keeps that answer back. When istiod goes away the
stream to Envoy ends, and Envoy, which keeps its last configuration, opens the
next one; that one waits here until istiod is back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

import grpc

from mesh_reference import tasks
from mesh_reference.agent.environment import AgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mesh_reference.agent.environment import AgentSettings
    from mesh_reference.agent.name_stream import NameStream
    from mesh_reference.agent.upstream import Upstream

logger = logging.getLogger(__name__)

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
TELL_SECONDS = 5.0
DELTA = "DeltaAggregatedResources"
METHODS = ("StreamAggregatedResources", DELTA)


class AdsProxy:
    """Forwards both forms of ADS."""

    def __init__(
        self, upstream: Upstream, settings: AgentSettings, take_names: Callable[[bytes], None] | None = None
    ) -> None:
        """``take_names``: wants the name tables' bytes; None asks for none."""
        self._upstream = upstream
        self._take_names = take_names
        self._address = settings.xds_address

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to ``server``; call it before the server starts."""
        # Without (de)serializers gRPC hands over the messages' bytes.
        handlers = {name: grpc.stream_stream_rpc_method_handler(self._forwarder(name)) for name in METHODS}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    def _forwarder(self, method: str) -> Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext], Awaitable[None]]:
        async def forward(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
            logger.info("ADS: opening %s to %s", method, self._address)
            try:
                async with self._upstream.channel(self._address) as channel:
                    await self._connected(channel)
                    metadata = self._upstream.metadata()
                    call = channel.stream_stream(f"/{SERVICE}/{method}")
                    if self._take_names is None:
                        async for response in call(requests, metadata=metadata):
                            await context.write(response)
                    else:
                        names = _name_stream(method, self._take_names)
                        async with _Joined(requests, names.opening()) as joined:
                            async for response in call(joined.messages(), metadata=metadata):
                                said = names.answer(response)
                                if said is None:
                                    await context.write(response)
                                else:
                                    joined.add(said)
            except grpc.aio.AioRpcError as error:
                logger.warning("ADS: %s ended: %s: %s", self._address, error.code().name, error.details())
                await context.abort(error.code(), error.details() or "")
            except AgentError as error:
                logger.error("ADS: %s", error)  # noqa: TRY400 - the text says it all
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            logger.info("ADS: %s closed the stream", self._address)

        return forward

    async def _connected(self, channel: grpc.aio.Channel) -> None:
        """Wait for istiod, telling of it now and then; Envoy's own retries would come later than istiod does."""
        while True:
            try:
                async with asyncio.timeout(TELL_SECONDS):
                    await channel.channel_ready()
            except TimeoutError:
                logger.warning("ADS: still no TLS connection to %s (name, route, certificate?)", self._address)
            else:
                return


def _name_stream(method: str, take: Callable[[bytes], None]) -> NameStream:
    from mesh_reference.agent.name_stream import NameStream

    return NameStream(delta=method == DELTA, take=take)


class _Joined:
    """Envoy's requests and the agent's own on one stream; ``opening`` comes right after Envoy's first."""

    def __init__(self, requests: AsyncIterator[bytes], opening: bytes) -> None:
        self._requests = requests
        self._opening = opening
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read(), name="read Envoy's requests")
        return self

    async def __aexit__(self, *_error: object) -> None:
        await tasks.end(self._reader)

    def add(self, message: bytes) -> None:
        """The agent's own word."""
        self._queue.put_nowait(message)

    async def messages(self) -> AsyncIterator[bytes]:
        """All of them, until Envoy has ended its side."""
        while (message := await self._queue.get()) is not None:
            yield message

    async def _read(self) -> None:
        is_first = True
        try:
            async for request in self._requests:
                self._queue.put_nowait(request)
                if is_first:
                    self._queue.put_nowait(self._opening)
                    is_first = False
        finally:
            self._queue.put_nowait(None)
