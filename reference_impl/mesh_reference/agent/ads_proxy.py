"""Envoy's configuration stream, carried from a Unix socket to istiod as raw bytes.

It deliberately reads nothing of what it carries. When istiod goes away the
stream to Envoy ends, and Envoy, which keeps its last configuration, opens the
next one; that one waits here until istiod is back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc

from mesh_reference.agent.environment import AgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mesh_reference.agent.environment import AgentSettings
    from mesh_reference.agent.upstream import Upstream

logger = logging.getLogger(__name__)

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
TELL_SECONDS = 5.0
METHODS = ("StreamAggregatedResources", "DeltaAggregatedResources")


class AdsProxy:
    """Forwards both forms of ADS."""

    def __init__(self, upstream: Upstream, settings: AgentSettings) -> None:
        self._upstream = upstream
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
                    call = channel.stream_stream(f"/{SERVICE}/{method}")(requests, metadata=self._upstream.metadata())
                    async for response in call:
                        await context.write(response)
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
