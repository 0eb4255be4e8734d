"""``pods/exec`` and ``pods/attach``: a client's channels bridged to the kubelet's.

Clients come by WebSocket (v5 or v4 of channel.k8s.io, or its base64 form) or by SPDY (v4). The older
remote command protocols, without an exit code, are refused.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from pytest_mesh.clusters.local.apiserver import errors
from pytest_mesh.clusters.local.apiserver.spdy.session import Session
from pytest_mesh.clusters.local.apiserver.streams import kubelet as kubelets
from pytest_mesh.clusters.local.apiserver.streams import targets, upgrades
from pytest_mesh.clusters.local.apiserver.streams.logs import truth
from pytest_mesh.clusters.local.apiserver.takeover import TakenOver, take_over
from pytest_mesh.clusters.local.races import first_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientWebSocketResponse

    from pytest_mesh.clusters.local.apiserver.spdy.session import Stream
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.clusters.local.apiserver.streams.kubelet import Kubelet
    from pytest_mesh.contracts import Json

logger = logging.getLogger(__name__)

BASE64_PROTOCOL = "v4.base64.channel.k8s.io"
WEBSOCKET_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", BASE64_PROTOCOL)
SPDY_PROTOCOL = "v4.channel.k8s.io"

STREAMS_TIMEOUT = 30.0
"""Seconds for a SPDY client to open every stream that its query announced."""

_CHANNELS = {"stdin": kubelets.STDIN, "stdout": kubelets.STDOUT, "stderr": kubelets.STDERR}


async def serve(request: web.Request, store: Store, kubelet: Kubelet, *, action: str) -> web.StreamResponse:
    """Answer GET or POST on ``.../pods/{name}/exec`` or ``.../attach`` (``action``)."""
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    pod = targets.pod(store, namespace, name)
    container = targets.container(pod, request.query.get("container", ""))
    targets.assigned(pod)
    wanted = [one for one in ("stdin", "stdout", "stderr", "tty") if truth(request.query.get(one, ""))]
    if not set(wanted) - {"tty"}:
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    command = request.query.getall("command", [])
    if action == "exec" and not command:
        raise errors.bad_request("you must specify a command to execute")
    query = [*((one, "1") for one in wanted), *(("command", one) for one in command if action == "exec")]
    upgrade = upgrades.wanted(request, WEBSOCKET_PROTOCOLS, (SPDY_PROTOCOL,))
    path = f"/{action}/{namespace}/{name}/{container}"
    try:
        async with kubelet.connect(path, query, protocols=(kubelets.PROTOCOL,)) as below:
            if upgrade.websocket:
                return await _by_websocket(request, below, upgrade.protocol)
            return await _by_spdy(request, below, upgrade.protocol, wanted)
    except errors.StatusError as error:
        if not upgrade.websocket:
            raise
        return await _refused(request, error, upgrade.protocol)


# ---------------------------------------------------------------- WebSocket


def _from_text(text: str, *, encoded: bool) -> bytes:
    """Give a text message as a binary one: its channel is a digit before base64, else the character of that number."""
    if encoded:
        return bytes([int(text[0])]) + base64.b64decode(text[1:])
    return text.encode()


def _sender(client: web.WebSocketResponse, *, encoded: bool) -> Callable[[bytes], Awaitable[None]]:
    async def send(data: bytes) -> None:
        if encoded:
            await client.send_str(f"{data[0]}{base64.b64encode(data[1:]).decode('ascii')}")
        else:
            await client.send_bytes(data)

    return send


async def _refused(request: web.Request, error: errors.StatusError, protocol: str) -> web.WebSocketResponse:
    """Open the client's WebSocket to say in it why the kubelet opened none, as kube-apiserver does."""
    client = web.WebSocketResponse(protocols=(protocol,), max_msg_size=0, compress=False)
    await client.prepare(request)
    status = bytes([kubelets.STATUS]) + json.dumps(error.to_json()).encode()
    await _sender(client, encoded=protocol == BASE64_PROTOCOL)(status)
    await client.close()
    return client


async def _by_websocket(request: web.Request, below: ClientWebSocketResponse, protocol: str) -> web.WebSocketResponse:
    client = web.WebSocketResponse(protocols=(protocol,), max_msg_size=0, compress=False)
    await client.prepare(request)
    encoded = protocol == BASE64_PROTOCOL
    send = _sender(client, encoded=encoded)

    async def up() -> None:
        async for message in client:
            if message.type == WSMsgType.BINARY and message.data:
                await below.send_bytes(message.data)
            elif message.type == WSMsgType.TEXT and message.data:
                await below.send_bytes(_from_text(message.data, encoded=encoded))

    async def down() -> None:
        finished = False
        async for message in below:
            if message.type != WSMsgType.BINARY or not message.data:
                continue
            finished = finished or message.data[0] == kubelets.STATUS
            await send(message.data)
        if not finished:
            await send(bytes([kubelets.STATUS]) + json.dumps(_broken_off()).encode())

    try:
        await first_of(up(), down())
    except ConnectionError as error:
        logger.debug("exec: a peer has gone: %s", error)
    await client.close()
    return client


# ---------------------------------------------------------------- SPDY


async def _by_spdy(
    request: web.Request, below: ClientWebSocketResponse, protocol: str, wanted: list[str]
) -> web.StreamResponse:
    expected = {"error", *(set(wanted) - {"tty"})}
    if "tty" in wanted:
        expected = {*expected, "resize"} - {"stderr"}
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol}
    async with take_over(request, headers) as connection:
        session = Session(connection)

        async def bridge() -> None:
            if (streams := await _collect(session, expected)) is not None:
                await _bridge(below, streams)

        try:
            await first_of(session.run(), bridge())
        except ConnectionError as error:
            logger.debug("exec: a peer has gone: %s", error)
    return TakenOver()


async def _collect(session: Session, expected: set[str]) -> dict[str, Stream] | None:
    """Wait for the announced streams; None if the client goes or does not open them in time."""
    streams: dict[str, Stream] = {}
    try:
        async with asyncio.timeout(STREAMS_TIMEOUT):
            while expected - streams.keys():
                stream = await session.accept()
                if stream is None:
                    return None
                streams[stream.headers.get("streamtype", "")] = stream
    except TimeoutError:
        logger.info("exec: a SPDY client did not open %s", ", ".join(sorted(expected - streams.keys())))
        return None
    return streams


async def _bridge(below: ClientWebSocketResponse, streams: dict[str, Stream]) -> None:
    by_channel = {_CHANNELS[kind]: stream for kind, stream in streams.items() if kind in _CHANNELS}

    async def up(stream: Stream) -> None:
        while data := await stream.read():
            await below.send_bytes(bytes([kubelets.STDIN]) + data)
        await below.send_bytes(bytes([kubelets.CLOSE, kubelets.STDIN]))

    async def resize(stream: Stream) -> None:
        text = b""
        while data := await stream.read():
            *lines, text = (text + data).split(b"\n")
            for line in lines:
                if line.strip():
                    await below.send_bytes(bytes([kubelets.RESIZE]) + line)

    async def down() -> None:
        status = json.dumps(_broken_off()).encode()
        async for message in below:
            if message.type != WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == kubelets.STATUS:
                status = data
            elif (stream := by_channel.get(channel)) is not None:
                await stream.write(data)
        await streams["error"].write(status)
        for stream in streams.values():
            await stream.close()

    async with asyncio.TaskGroup() as group:
        inputs = [group.create_task(up(streams["stdin"]))] if "stdin" in streams else []
        if "resize" in streams:
            inputs.append(group.create_task(resize(streams["resize"])))
        await down()
        for task in inputs:
            task.cancel()


def _broken_off() -> Json:
    message = "Internal error occurred: the kubelet ended the stream without a status"
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500}
