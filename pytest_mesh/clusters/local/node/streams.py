"""What flows on the kubelet's WebSockets: exec and attach by channels, a forwarded connection as raw bytes.

Framing is v5.channel.k8s.io: the first byte names the channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import struct
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from pytest_mesh.clusters.local.node import processes
from pytest_mesh.clusters.local.node.backlogs import Backlog
from pytest_mesh.clusters.local.node.runtime import StartError
from pytest_mesh.clusters.local.races import first_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

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
    backlog = Backlog()
    stdio = processes.Stdio(backlog.put, stdin=bool(request.query.get("stdin")), tty=tty)
    backlog.source = stdio
    process: Process | None = None
    try:
        try:
            with stdio.handed_over() as fds:
                process = await runtime.execute(container, life.command(argv, tty=tty), fds)
        except StartError as error:
            await _finish(websocket, _not_started(str(error)))
            return websocket
        output = _output_to_the_end(websocket, process, stdio, backlog, wanted)
        await _carry(websocket, output, _receive(websocket, stdio))
    finally:
        if process is not None:
            process.signal(9)
        stdio.close()
    return websocket


async def _output_to_the_end(
    websocket: web.WebSocketResponse, process: Process, stdio: processes.Stdio, backlog: Backlog, wanted: set[str]
) -> None:
    """Send all that a process writes, and how it ended."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_send_output(websocket, backlog, wanted))
        code = await asyncio.shield(process.exited)
        await stdio.drain()
        backlog.put("", b"")
    await _finish(websocket, _status(128 - code if code < 0 else code, ""))


async def _carry(
    websocket: web.WebSocketResponse, output: Coroutine[None, None, None], received: Coroutine[None, None, None]
) -> None:
    """Go on until the output has ended or the client has gone; an error here is told as the command's status."""
    try:
        await first_of(output, received)
    except ConnectionError as error:
        log.debug("the client of a command has gone: %s", error)
    except Exception as error:
        log.exception("a command's streams")
        await _finish(websocket, _broken(f"{type(error).__name__}: {error}"))


async def attach(request: web.Request, life: ContainerLife) -> web.WebSocketResponse:
    """Send what the container writes from here on, until it ends or the client goes."""
    stdio = life.stdio
    if stdio is None:
        raise web.HTTPInternalServerError(text=not_attachable(request, life))
    websocket = web.WebSocketResponse(protocols=(_PROTOCOL,), max_msg_size=0, compress=False)
    await websocket.prepare(request)
    wanted = {name for name in _OUTPUTS if request.query.get(name)}
    run = life.logs[-1]
    backlog = Backlog()
    backlog.source = stdio
    run.listeners.add(backlog.put)

    async def output() -> None:
        await _send_output(websocket, backlog, wanted)
        await _finish(websocket, _status(0, ""))

    try:
        received = _receive(websocket, stdio, close=bool(life.spec.get("stdinOnce")))
        await _carry(websocket, output(), received)
    finally:
        run.listeners.discard(backlog.put)
        backlog.close()
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

        async def up() -> None:
            with contextlib.suppress(ConnectionError):
                async for message in websocket:
                    if message.type == WSMsgType.BINARY:
                        writer.write(message.data)
                        await writer.drain()
                    elif message.type == WSMsgType.TEXT and message.data == _HALF_CLOSE:
                        writer.write_eof()
                        break
                async for _ in websocket:
                    pass  # it has nothing more to say; it may still hang up before the pod is through

        await first_of(down(), up())
        await websocket.close()
    finally:
        writer.close()
    return websocket


async def _send_output(websocket: web.WebSocketResponse, backlog: Backlog, wanted: set[str]) -> None:
    """Send chunks until the empty one."""
    while True:
        name, data = await backlog.get()
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
            _resize(stdio, data)


def _resize(stdio: processes.Stdio, data: bytes) -> None:
    try:
        size = json.loads(data)
        stdio.resize(int(size["Width"]), int(size["Height"]))
    except (ValueError, KeyError, TypeError, struct.error) as error:  # the command goes on, as under a kubelet
        log.info("a terminal's size %r is none: %s", data[:100], error)


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


def _broken(why: str) -> Json:
    """Give the status of a command whose streams this node could not carry to their end."""
    message = f"Internal error occurred: error carrying the streams of a command: {why}"
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500, "message": message}


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
