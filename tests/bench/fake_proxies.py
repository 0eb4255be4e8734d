"""Proxies of a benchmark, in a process of their own: each asks for what Envoy asks for, in its order, and takes everything.

Run as ``python fake_proxies.py PORT COUNT``; writes one JSON line for each response: (proxy, type, bytes, monotonic seconds).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc
from envoy.service.discovery.v3 import discovery_pb2

PREFIX = "type.googleapis.com/envoy.config."
CDS, EDS = f"{PREFIX}cluster.v3.Cluster", f"{PREFIX}endpoint.v3.ClusterLoadAssignment"
LDS, RDS = f"{PREFIX}listener.v3.Listener", f"{PREFIX}route.v3.RouteConfiguration"
VHDS = f"{PREFIX}route.v3.VirtualHost"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


async def proxy(port: int, number: int) -> None:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call = channel.stream_stream(METHOD)()
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS)
        first.node.id = f"sidecar~10.60.0.{number}~client-{number}.bench~bench.svc.cluster.local"
        first.node.metadata.update({"NAMESPACE": "bench"})
        await call.write(first.SerializeToString())
        asked = {CDS}

        async def ask(type_url: str, names: list[str]) -> None:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
            await call.write(request.SerializeToString())

        while (data := await call.read()) is not grpc.aio.EOF:
            at = time.monotonic()
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            kind = response.type_url
            sys.stdout.write(json.dumps([number, kind.rpartition(".")[2], len(data), at]) + "\n")
            sys.stdout.flush()
            ack = discovery_pb2.DeltaDiscoveryRequest(type_url=kind, response_nonce=response.nonce)
            await call.write(ack.SerializeToString())
            if kind == CDS:
                names = [made.name for made in response.resources if made.name.startswith("outbound|")]
                if names:
                    await ask(EDS, names)
            for after, following, names in ((EDS, LDS, []), (LDS, RDS, ["80"]), (RDS, VHDS, [])):
                if kind == after and following not in asked:
                    asked.add(following)
                    await ask(following, list(names))


async def main(port: int, count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(proxy(port, number))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
