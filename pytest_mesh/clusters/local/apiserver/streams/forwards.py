"""``pods/portforward``: TCP connections into a Pod's loopback, carried by SPDY streams or WebSocket channels.

SPDY comes by itself or inside a WebSocket (kubectl's default). The kubelet makes the connections.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, Protocol

from aiohttp import WSMsgType, web

from pytest_mesh.clusters.local.apiserver import errors
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.spdy.inboxes import Inbox
from pytest_mesh.clusters.local.apiserver.spdy.session import Session
from pytest_mesh.clusters.local.apiserver.streams import targets, upgrades
from pytest_mesh.clusters.local.apiserver.streams.kubelet import HALF_CLOSE
from pytest_mesh.clusters.local.apiserver.takeover import TakenOver, take_over
from pytest_mesh.clusters.local.races import first_of, lost_peers_bare

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

    from pytest_mesh.clusters.local.apiserver.spdy.session import Pipe, Stream
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.clusters.local.apiserver.streams.kubelet import Kubelet
    from pytest_mesh.contracts import Json

logger = logging.getLogger(__name__)

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
CHANNELS = "v4.channel.k8s.io"


class Side(Protocol):
    """A client's end of one forwarded connection."""

    reset: bool
    """The client has dropped the connection."""

    async def read(self) -> bytes:
        """Give the next bytes; none = the client sends no more."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None:
        """Tell the client that the Pod sends no more."""
        ...


async def serve(request: web.Request, store: Store, kubelet: Kubelet) -> web.StreamResponse:
    """Answer GET or POST on ``.../pods/{name}/portforward``."""
    pod = targets.pod(store, request.match_info["namespace"], request.match_info["name"])
    targets.assigned(pod)
    if (phase := (pod.get("status") or {}).get("phase")) != "Running":
        raise errors.bad_request(f"unable to forward port because pod is not running. Current status={phase}")
    upgrade = upgrades.wanted(request, (TUNNEL, CHANNELS), (PROTOCOL,))
    forwarder = Forwarder(pod, kubelet)
    if not upgrade.websocket:
        headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": PROTOCOL}
        async with take_over(request, headers) as connection:
            try:
                await forwarder.by_spdy(connection)
            except ConnectionError as error:
                logger.debug("port-forward: the client has gone: %s", error)
        return TakenOver()
    ports = _ports(request) if upgrade.protocol == CHANNELS else []
    client = web.WebSocketResponse(protocols=(upgrade.protocol,), max_msg_size=0, compress=False)
    await client.prepare(request)
    try:
        if upgrade.protocol == TUNNEL:
            await forwarder.by_spdy(_Tunnel(client))
        else:
            await forwarder.by_channels(client, ports)
    except ConnectionError as error:
        logger.debug("port-forward: the client has gone: %s", error)
    await client.close()
    return client


def _ports(request: web.Request) -> list[int]:
    texts = [text for value in request.query.getall("ports", []) for text in value.split(",")]
    if not texts:
        raise errors.bad_request('query parameter "ports" is required')
    if not all(text.isdecimal() and 0 < int(text) < 65536 for text in texts):
        raise errors.bad_request(f"ports must be numbers from 1 to 65535, got {','.join(texts)}")
    return [int(text) for text in texts]


class Forwarder:
    """Forwards ports of one Pod for one client connection."""

    def __init__(self, pod: Json, kubelet: Kubelet) -> None:
        metadata = pod["metadata"]
        self._path = f"/portForward/{metadata['namespace']}/{metadata['name']}"
        self._kubelet = kubelet

    async def by_spdy(self, pipe: Pipe) -> None:
        """Serve until the client goes: pairs of an error and a data stream, each pair one TCP connection."""
        session = Session(pipe)
        await first_of(session.run(), self._pairs(session))

    async def _pairs(self, session: Session) -> None:
        waiting: dict[str, dict[str, Stream]] = {}
        async with asyncio.TaskGroup() as group:
            while (stream := await session.accept()) is not None:
                kind, request = stream.headers.get("streamtype", ""), stream.headers.get("requestid", "")
                if kind not in {"error", "data"} or not stream.headers.get("port", "").isdecimal():
                    await session.refuse(stream)
                    continue
                pair = waiting.setdefault(request, {})
                pair[kind] = stream
                if len(pair) == 2:
                    del waiting[request]
                    group.create_task(self._pair(session, pair["data"], pair["error"]))

    async def _pair(self, session: Session, data: Stream, error: Stream) -> None:
        fault = await self._forward(int(data.headers["port"]), data)
        if fault:
            await error.write(fault.encode())
        # kubectl waits for the end of both.
        await data.close()
        await error.close()
        session.forget(data)
        session.forget(error)

    async def by_channels(self, client: web.WebSocketResponse, ports: list[int]) -> None:
        """Serve one TCP connection per port until all are over or the client goes.

        Port i has channel 2i for data and 2i + 1 for errors, each of which starts with the port number.
        """
        sides = [_Channel(client, 2 * index) for index in range(len(ports))]
        for index, port in enumerate(ports):
            for channel in (2 * index, 2 * index + 1):
                await client.send_bytes(struct.pack("<BH", channel, port))

        async def one(side: _Channel, port: int) -> None:
            fault = await self._forward(port, side)
            side.inbox.abandon()
            if fault:
                await client.send_bytes(bytes([side.number + 1]) + fault.encode())

        async def every() -> None:
            async with asyncio.TaskGroup() as group:
                for side, port in zip(sides, ports, strict=True):
                    group.create_task(one(side, port))

        async def incoming() -> None:
            async for message in client:
                if message.type == WSMsgType.BINARY and message.data:
                    index, is_error = divmod(message.data[0], 2)
                    if not is_error and index < len(sides):
                        await sides[index].inbox.put(message.data[1:])

        await first_of(every(), incoming())

    async def _forward(self, port: int, side: Side) -> str:
        """Carry one TCP connection to its end; give the fault to report to the client, if any."""
        try:
            async with self._kubelet.connect(self._path, [("port", str(port))]) as below:
                with lost_peers_bare():
                    return await _carry(below, side, port)
        except StatusError as error:
            return f"error forwarding port {port} to pod: {error.message}"
        except ConnectionError as error:
            return f"error forwarding port {port} to pod: {error}"


async def _carry(below: ClientWebSocketResponse, side: Side, port: int) -> str:
    async def up() -> None:
        try:
            while data := await side.read():
                await below.send_bytes(data)
            if side.reset:
                # The client dropped the connection: it will not read either.
                await below.close()
            else:
                await below.send_str(HALF_CLOSE)
        except ConnectionError as error:
            logger.debug("port-forward: the kubelet has closed: %s", error)

    fault = ""
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(up())
        while True:
            message = await below.receive()
            if message.type == WSMsgType.BINARY:
                await side.write(message.data)
            elif message.type == WSMsgType.TEXT and message.data == HALF_CLOSE:
                await side.close()
            elif message.type == WSMsgType.CLOSE:
                if message.data not in {None, 0, 1000, 1001}:
                    fault = f"error forwarding port {port} to pod: {message.extra or f'closed with {message.data}'}"
                break
            elif message.type in {WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}:
                break
        sending.cancel()
    return fault


class _Channel:
    """The client's end of one port in the WebSocket protocol with numbered channels."""

    reset = False

    def __init__(self, client: web.WebSocketResponse, number: int) -> None:
        self.number = number
        self.inbox = Inbox()
        self._client = client

    async def read(self) -> bytes:
        return await self.inbox.get()

    async def write(self, data: bytes) -> None:
        await self._client.send_bytes(bytes([self.number]) + data)

    async def close(self) -> None:
        """Do nothing: this protocol has no half-close; the end of all ports ends the WebSocket."""


class _Tunnel:
    """SPDY's bytes inside the binary messages of a WebSocket."""

    def __init__(self, client: web.WebSocketResponse) -> None:
        self._client = client

    async def read(self) -> bytes:
        async for message in self._client:
            if message.type == WSMsgType.BINARY and message.data:
                data: bytes = message.data
                return data
        return b""

    async def write(self, data: bytes) -> None:
        await self._client.send_bytes(data)
