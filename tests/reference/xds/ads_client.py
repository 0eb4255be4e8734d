"""A control plane over an API in memory, and ADS streams to it that go a message at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from memory_kube import MemoryKube, endpoint_slice, pod, service

from mesh_reference.app import Istiod
from mesh_reference.settings import Settings
from mesh_reference.xds.dialects import SERVICE
from mesh_reference.xds.resources import CLUSTER

PORTS = Settings(listen_host="127.0.0.1", xds_port=0, secure_port=0, monitoring_port=0, webhook_port=0, http_port=0)
NODE = {"id": "sidecar~10.244.0.20~tester-1.shop~shop.svc.cluster.local"}
ALL = "outbound|80||reviews.shop.svc.cluster.local"
TESTER = {"NAMESPACE": "shop", "SERVICE_ACCOUNT": "tester"}


@asynccontextmanager
async def running(kube: MemoryKube, settings: Settings = PORTS) -> AsyncIterator[Istiod]:
    istiod, stop = Istiod(kube=kube, settings=settings), asyncio.Event()  # type: ignore[arg-type]
    serving = asyncio.create_task(istiod.serve(stop))
    async with asyncio.timeout(10):
        ready = asyncio.create_task(istiod.ready.wait())
        await asyncio.wait({ready, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            ready.cancel()
            await serving
        yield istiod
        stop.set()
        await serving


class Client:
    """One ADS stream, a message at a time."""

    def __init__(self, channel: grpc.aio.Channel, *, delta: bool = False, metadata: Any = ()) -> None:
        self._type = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
        answer = discovery_pb2.DeltaDiscoveryResponse if delta else discovery_pb2.DiscoveryResponse
        method = "DeltaAggregatedResources" if delta else "StreamAggregatedResources"
        self.call = channel.stream_stream(
            f"/{SERVICE}/{method}", self._type.SerializeToString, answer.FromString
        )(metadata=metadata)  # fmt: skip

    async def ask(self, type_url: str, node: dict[str, Any] | None = None, **fields: Any) -> None:
        request = self._type(type_url=type_url, **fields)
        if node:
            request.node.id = node["id"]
            request.node.metadata.update(node.get("metadata", TESTER))
        await self.call.write(request)

    async def read(self) -> Any:
        async with asyncio.timeout(3):
            return await self.call.read()

    async def nothing(self) -> bool:
        """Nothing comes for a while: long against the debounce."""
        try:
            async with asyncio.timeout(0.15):
                await asyncio.shield(asyncio.ensure_future(self.call.read()))
        except TimeoutError:
            return True
        return False


def mesh() -> MemoryKube:
    return MemoryKube(
        service("reviews", "10.96.0.7"), endpoint_slice("reviews", ["10.244.0.1"]), pod("r1", "10.244.0.1", {})
    )


def play(script: Callable[[MemoryKube, Istiod, grpc.aio.Channel], Awaitable[None]], settings: Settings = PORTS) -> None:
    async def run() -> None:
        kube = mesh()
        async with (
            running(kube, settings) as istiod,
            grpc.aio.insecure_channel(f"127.0.0.1:{istiod.ports.xds}") as channel,
        ):
            await script(kube, istiod, channel)

    asyncio.run(run())


async def ends_with(client: Client) -> grpc.StatusCode:
    async with asyncio.timeout(5):
        return await client.call.code()


async def is_served(channel: grpc.aio.Channel) -> bool:
    other = Client(channel, delta=True)
    await other.ask(CLUSTER, NODE)
    return bool((await other.read()).resources)
