"""Sidecars without an Envoy: delta ADS streams that ask for what Envoy asks for, in its order, and accept everything.

They look for given bytes in what they receive, so that any control plane of the Istio API is timed by the same eyes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.discovery.v3 import discovery_pb2

PREFIX = "type.googleapis.com/envoy.config."
CDS, EDS = f"{PREFIX}cluster.v3.Cluster", f"{PREFIX}endpoint.v3.ClusterLoadAssignment"
LDS, RDS = f"{PREFIX}listener.v3.Listener", f"{PREFIX}route.v3.RouteConfiguration"
VHDS = f"{PREFIX}route.v3.VirtualHost"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
NAMESPACE = "bench"


@dataclass(slots=True, kw_only=True, eq=False)
class Sought:
    """Bytes that a response of one of the types shall hold. ``seen``: sidecar number → seconds (monotonic)."""

    types: frozenset[str]
    needle: bytes
    seen: dict[int, float] = field(default_factory=dict)
    found: asyncio.Event = field(default_factory=asyncio.Event)


class Sidecar:
    """One proxy. ``size``: bytes received; ``pushes``: responses by type."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self._fleet = fleet
        self._number = number
        self.size = 0
        self.pushes: Counter[str] = Counter()
        self.synced_at = 0.0
        self.synced = asyncio.Event()
        self._forget()

    def _forget(self) -> None:
        self._clusters: set[str] = set()
        self._asked: dict[str, set[str]] = {}
        self._missing: dict[str, set[str]] = {kind: {"*"} for kind in (CDS, EDS, LDS, RDS)}

    async def run(self) -> None:
        """Hold the stream for ever; a refused one is tried again with Envoy's back-off."""
        tries = 0
        async with grpc.aio.insecure_channel(self._fleet.address, options=OPTIONS) as channel:
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await self._converse(channel)
                tries += 1
                self._fleet.refused += 1
                await asyncio.sleep(random.uniform(0, min(0.5 * 2**tries, 30)))

    async def _converse(self, channel: grpc.aio.Channel) -> None:
        self._forget()
        self._call = channel.stream_stream(METHOD)()
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS)
        pod, address = f"client-{self._number}", f"10.60.{self._number // 250}.{self._number % 250 + 1}"
        first.node.id = f"sidecar~{address}~{pod}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"
        first.node.metadata.update(
            {
                "NAMESPACE": NAMESPACE, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.32.0", "NAME": pod,
                "LABELS": {"app": "client"}, "SERVICE_ACCOUNT": "default", "INSTANCE_IPS": address,
                "INTERCEPTION_MODE": "REDIRECT", "MESH_ID": "cluster.local", "PROXY_CONFIG": {},
            }
        )  # fmt: skip
        await self._call.write(first.SerializeToString())
        while (data := await self._call.read()) is not grpc.aio.EOF:
            await self._receive(data, time.monotonic())

    async def _ask(self, kind: str, names: Iterable[str]) -> None:
        known = self._asked.setdefault(kind, set())
        new = set(names) - known
        known |= new
        self._missing[kind] = (self._missing.get(kind, set()) - {"*"}) | new
        if new:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=kind, resource_names_subscribe=sorted(new))
            await self._call.write(request.SerializeToString())

    async def _ask_for_all(self, kind: str) -> None:
        if kind not in self._asked:
            self._asked[kind] = set()
            self._missing[kind] = {"*"}
            await self._call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=kind).SerializeToString())

    async def _receive(self, data: bytes, at: float) -> None:
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
        kind = response.type_url
        self.size += len(data)
        self.pushes[kind.rpartition(".")[2]] += 1
        self._fleet.last_at = at
        self._fleet.look(self._number, kind, data, at)
        ack = discovery_pb2.DeltaDiscoveryRequest(type_url=kind, response_nonce=response.nonce)
        await self._call.write(ack.SerializeToString())
        names = {made.name for made in response.resources}
        self._missing.get(kind, set()).difference_update({"*"} | names)
        if kind == CDS:
            self._clusters |= names
            self._clusters.difference_update(response.removed_resources)
            await self._ask(EDS, (made.name for made in response.resources if _wants_endpoints(made.resource.value)))
        elif kind == LDS:
            await self._ask(RDS, (name for made in response.resources for name in _route_names(made.resource.value)))
        elif (
            kind == RDS
            and VHDS not in self._asked
            and any(_is_split(made.resource.value) for made in response.resources)
        ):
            await self._ask_for_all(VHDS)
        if not self._missing[CDS] and not self._missing[EDS]:
            await self._ask_for_all(LDS)  # the clusters are warm
        if not self.synced.is_set() and not any(self._missing.values()) and len(self._clusters) >= self._fleet.clusters:
            self.synced_at = at
            self.synced.set()


class Fleet:
    """``count`` sidecars of one control plane; in sync is one that holds ``clusters`` clusters and all that goes with them."""

    def __init__(self, address: str, count: int, clusters: int) -> None:
        self.address = address
        self.clusters = clusters
        self.refused = 0
        self.last_at = 0.0
        self.sidecars = [Sidecar(self, number) for number in range(count)]
        self._sought: Sequence[Sought] = ()
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, limit: float = 300) -> float:
        """All at once; seconds until the last is in sync."""
        started = time.monotonic()
        self._tasks = [asyncio.create_task(sidecar.run()) for sidecar in self.sidecars]
        async with asyncio.timeout(limit):
            for sidecar in self.sidecars:
                await sidecar.synced.wait()
        return max(sidecar.synced_at for sidecar in self.sidecars) - started

    async def disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def quiet(self, seconds: float = 1.0) -> None:
        """Until nothing has come for that long."""
        while (left := self.last_at + seconds - time.monotonic()) > 0:  # noqa: ASYNC110  each response puts it off
            await asyncio.sleep(left)

    def expect(self, *sought: Sought) -> None:
        """What to look for from here on."""
        self._sought = sought

    def look(self, number: int, kind: str, data: bytes, at: float) -> None:
        for item in self._sought:
            if kind in item.types and number not in item.seen and item.needle in data:
                item.seen[number] = at
                if len(item.seen) == len(self.sidecars):
                    item.found.set()

    @property
    def received(self) -> int:
        """Bytes, all together."""
        return sum(sidecar.size for sidecar in self.sidecars)

    @property
    def pushes(self) -> Counter[str]:
        return sum((sidecar.pushes for sidecar in self.sidecars), Counter[str]())


def _wants_endpoints(raw: bytes) -> bool:
    return cluster_pb2.Cluster.FromString(raw).type == cluster_pb2.Cluster.EDS


def _route_names(raw: bytes) -> list[str]:
    listener, out = listener_pb2.Listener.FromString(raw), []
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for one in chain.filters:
            manager = http_connection_manager_pb2.HttpConnectionManager()
            if one.typed_config.Is(manager.DESCRIPTOR) and one.typed_config.Unpack(manager) and manager.HasField("rds"):
                out.append(manager.rds.route_config_name)
    return out


def _is_split(raw: bytes) -> bool:
    return bool(route_pb2.RouteConfiguration.FromString(raw).HasField("vhds"))
