"""One HTTP GET to a port on a Pod's loopback, through the API server's port-forward (WebSocket channels, v4).

It opens one connection for one answer; nothing listens on this machine.
"""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING

import aiohttp

from mesh_reference.errors import ApiFailure, why
from mesh_reference.kube.resources import PODS

if TYPE_CHECKING:
    from mesh_reference.kube.client import Kube

PROTOCOL = "v4.channel.k8s.io"
SECONDS = 30.0
_DATA, _ERROR = 0, 1


async def get(kube: Kube, namespace: str, pod: str, port: int, path: str) -> bytes:
    """The body of ``GET path`` at 127.0.0.1:port of the pod. Raises ApiFailure when it is not 200 or cannot be had."""
    where = f"{namespace}/{pod}:{port}{path}"
    asked = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        answer = await _exchange(kube, PODS.path(namespace, pod, "portforward"), port, asked)
    except aiohttp.WSServerHandshakeError as error:
        reason = "no such pod" if error.status == 404 else error.message
        raise ApiFailure(
            f"{where}: the port-forward is refused: {error.status} {reason}", status=error.status
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ApiFailure(f"{where}: {why(error)}") from error
    return _body(answer, where)


async def _exchange(kube: Kube, path: str, port: int, asked: bytes) -> bytes:
    received: dict[int, bytearray] = {_DATA: bytearray(), _ERROR: bytearray()}
    whole: int | None = None
    async with kube.websocket(path, {"ports": str(port)}, PROTOCOL, SECONDS) as socket:
        await socket.send_bytes(bytes([_DATA]) + asked)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            received.setdefault(message.data[0], bytearray()).extend(message.data[1:])
            if len(received[_ERROR]) > 2:
                raise OSError(received[_ERROR][2:].decode(errors="replace").strip())
            if whole is None:
                whole = _length(received[_DATA])
            if whole is not None and len(received[_DATA]) >= whole:
                break
    return bytes(received[_DATA][2:])  # the first two bytes of a channel name the port


def _length(data: bytearray) -> int | None:
    """How many bytes a response that tells it has with its head: then nobody waits for the other side to close."""
    end = data.find(b"\r\n\r\n", 2)
    for line in data[2:end].split(b"\r\n")[1:] if end >= 0 else ():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return end + 4 + int(value)
    return None


class _Held:
    """Bytes in the place of a socket, for the standard library's parser."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _body(data: bytes, where: str) -> bytes:
    response = http.client.HTTPResponse(_Held(data))  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, OSError) as error:
        raise ApiFailure(f"{where}: no HTTP answer: {why(error)}") from error
    if response.status != 200:
        raise ApiFailure(f"{where}: {response.status} {body.decode(errors='replace').strip()[:300]}")
    return body
