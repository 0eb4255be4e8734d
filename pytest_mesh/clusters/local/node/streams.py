"""What flows on the kubelet's WebSockets: exec and attach by channels, a forwarded connection as raw bytes.

Framing is v5.channel.k8s.io: the first byte names the channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from pytest_mesh.clusters.local.node import processes
from pytest_mesh.clusters.local.node.runtime import StartError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from pytest_mesh.clusters.local.node.container_lives import ContainerLife
    from pytest_mesh.clusters.local.node.runtime import Process, Runtime
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_PROTOCOL: Final = "v5.channel.k8s.io"
_STDIN, _STATUS, _RESIZE, _CLOSE = 0, 3, 4, 255
_OUTPUTS: Final = {"stdout": 1, "stderr": 2}
_HALF_CLOSE: Final = "eof"
_QUEUED: Final = 1 << 16


def not_running(life: ContainerLife) -> str:
    """Give a kubelet's words for a container that no command can run in."""
    return f'unable to upgrade connection: container not found ("{life.name}")'


def not_attachable(request: web.Request, life: ContainerLife) -> str:
    """Give a kubelet's words for a container whose streams cannot be had."""
    pod = f"{request.match_info['pod']}_{request.match_info['namespace']}"
    return f"unable to upgrade connection: container {life.name} not found in pod {pod}"


async def execute(
    request: web.Request, runtime: Runtime, life: ContainerLife, argv: tuple[str, ...]
) -> web.WebSocketResponse:
    """Run ``argv`` in the container and answer its exit code on the status channel."""
    container = life.process
    if container is None:
        raise web.HTTPInternalServerError(text=not_running(life))
    websocket = web.WebSocketResponse(protocols=(_PROTOCOL,), max_msg_size=0, compress=False)
    await websocket.prepare(request)
    wanted = {name for name in _OUTPUTS if request.query.get(name)}
    tty = bool(request.query.get("tty"))
    output: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    stdio = processes.Stdio(
        lambda name, data: output.put_nowait((name, data)), stdin=bool(request.query.get("stdin")), tty=tty
    )
    process: Process | None = None
    try:
        try:
            with stdio.handed_over() as fds:
                process = await runtime.execute(container, life.command(argv, tty=tty), fds)
        except StartError as error:
            await _finish(websocket, _not_started(str(error)))
            return websocket
        sender = asyncio.create_task(_send_output(websocket, output, wanted))
        receiver = asyncio.create_task(_receive(websocket, stdio))
        ended = asyncio.shield(process.exited)
        try:
            await asyncio.wait((ended, receiver), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await stdio.drain()
                output.put_nowait(("", b""))
                await sender
                code = ended.result()
                await _finish(websocket, _status(128 - code if code < 0 else code, ""))
        except ConnectionError as error:
            log.debug("exec: the client has gone: %s", error)
        finally:
            for task in (sender, receiver, ended):
                task.cancel()
    finally:
        if process is not None:
            process.signal(9)
        stdio.close()
    return websocket


async def attach(request: web.Request, life: ContainerLife) -> web.WebSocketResponse:
    """Send what the container writes from here on, until it ends or the client goes."""
    stdio = life.stdio
    if stdio is None:
        raise web.HTTPInternalServerError(text=not_attachable(request, life))
    websocket = web.WebSocketResponse(protocols=(_PROTOCOL,), max_msg_size=0, compress=False)
    await websocket.prepare(request)
    wanted = {name for name in _OUTPUTS if request.query.get(name)}
    run = life.logs[-1]
    output: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    run.listeners.add(output)
    sender = asyncio.create_task(_send_output(websocket, output, wanted))
    receiver = asyncio.create_task(_receive(websocket, stdio, close=bool(life.spec.get("stdinOnce"))))
    try:
        await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done() and not websocket.closed:
            await _finish(websocket, _status(0, ""))
    except ConnectionError as error:
        log.debug("attach: the client has gone: %s", error)
    finally:
        run.listeners.discard(output)
        for task in (sender, receiver):
            task.cancel()
    return websocket


async def forward(request: web.Request, connection: socket.socket) -> web.WebSocketResponse:
    """Carry bytes both ways until both sides have closed."""
    websocket = web.WebSocketResponse(max_msg_size=0, compress=False)
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        await websocket.prepare(request)

        async def down() -> None:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_QUEUED):
                    await websocket.send_bytes(data)
                await websocket.send_str(_HALF_CLOSE)

        async def up() -> bool:
            """Give True when the client only half-closed."""
            with contextlib.suppress(ConnectionError):
                async for message in websocket:
                    if message.type == WSMsgType.BINARY:
                        writer.write(message.data)
                        await writer.drain()
                    elif message.type == WSMsgType.TEXT and message.data == _HALF_CLOSE:
                        writer.write_eof()
                        return True
            return False

        await _both(down, up, websocket)
        await websocket.close()
    finally:
        writer.close()
    return websocket


async def _both(
    down: Callable[[], Awaitable[None]], up: Callable[[], Awaitable[bool]], websocket: web.WebSocketResponse
) -> None:
    """Go on until the pod has sent everything, or the client is gone."""
    downward = asyncio.ensure_future(down())
    upward = asyncio.ensure_future(up())
    try:
        await asyncio.wait({downward, upward}, return_when=asyncio.FIRST_COMPLETED)
        if upward.done() and not downward.done() and upward.result():
            # The client has nothing more to say; it may still hang up before the pod is through.
            gone = asyncio.ensure_future(_gone(websocket))
            await asyncio.wait({downward, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
    finally:
        downward.cancel()
        upward.cancel()


async def _gone(websocket: web.WebSocketResponse) -> None:
    async for _ in websocket:
        pass


async def _send_output(
    websocket: web.WebSocketResponse, output: asyncio.Queue[tuple[str, bytes]], wanted: set[str]
) -> None:
    """Send chunks until the empty one."""
    while True:
        name, data = await output.get()
        if not data:
            return
        if name in wanted:
            await websocket.send_bytes(bytes([_OUTPUTS[name]]) + data)


async def _receive(websocket: web.WebSocketResponse, stdio: processes.Stdio, *, close: bool = True) -> None:
    """Take input, its end and the terminal's sizes until the client goes."""
    async for message in websocket:
        if message.type != WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _STDIN:
            await stdio.feed(data)
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]) and close:
            stdio.close_input()
        elif channel == _RESIZE:
            size = json.loads(data)
            stdio.resize(int(size["Width"]), int(size["Height"]))


async def _finish(websocket: web.WebSocketResponse, status: Json) -> None:
    with contextlib.suppress(ConnectionError):
        await websocket.send_bytes(bytes([_STATUS]) + json.dumps(status).encode())
        await websocket.close()


def _not_started(why: str) -> Json:
    """Give what containerd's kubelet says of a program that cannot be started; there is no exit code then."""
    start = "Internal error occurred: Internal error occurred: error executing command in container"
    steps = f'failed to exec in container: failed to start exec "{secrets.token_hex(32)}": OCI runtime exec failed: exec failed'
    message = f"{start}: {steps}: unable to start container process: {why}"
    details = {"causes": [{"message": message}]}
    head = {"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500}
    return {**head, "message": message, "details": details}


def _status(code: int, message: str) -> Json:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    text = message or f"command terminated with exit code {code}"
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": text,
        "details": {"causes": causes},
    }
