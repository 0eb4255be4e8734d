"""One GET through a port-forward, against a server that speaks the API server's WebSocket channels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import WSMsgType, web

from mesh_reference.errors import ApiFailure
from mesh_reference.kube import forwarding
from mesh_reference.kube.client import Kube

PORT = (15000).to_bytes(2, "little")
Talk = Callable[[web.WebSocketResponse, bytes], Awaitable[None]]


def ask(tmp_path: Path, talk: Talk, pod: str = "a") -> tuple[bytes, list[bytes]]:
    """The answer, and what arrived at the pod."""
    asked: list[bytes] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.match_info["pod"] != "a":
            return web.json_response({"kind": "Status", "message": "not found"}, status=404)
        assert request.query["ports"] == "15000"
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for channel in (0, 1):
            await socket.send_bytes(bytes([channel]) + PORT)
        message = await socket.receive()
        assert message.type is WSMsgType.BINARY
        asked.append(message.data)
        await talk(socket, message.data)
        await socket.close()
        return socket

    async def main() -> bytes:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/shop/pods/{pod}/portforward", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        config = tmp_path / "kubeconfig"
        config.write_text(yaml.safe_dump(_kubeconfig(runner.addresses[0][1])))
        try:
            async with await Kube.connect(config) as kube:
                return await forwarding.get(kube, "shop", pod, 15000, "/config_dump")
        finally:
            await runner.cleanup()

    return asyncio.run(main()), asked


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
    }


async def answer(socket: web.WebSocketResponse, *pieces: bytes) -> None:
    for piece in pieces:
        await socket.send_bytes(b"\x00" + piece)


def test_a_request_goes_out_and_the_body_of_the_answer_comes_back_whatever_its_pieces(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, _asked: bytes) -> None:
        await answer(socket, b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r\n{", b"}\r\n")

    body, asked = ask(tmp_path, talk)
    assert body == b"{}\r\n"
    assert asked[0].startswith(b"\x00GET /config_dump HTTP/1.1\r\nHost: localhost:15000\r\n")


def test_a_body_in_chunks_is_put_together(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, _asked: bytes) -> None:
        await answer(
            socket, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"
        )

    assert ask(tmp_path, talk)[0] == b"abc"


async def refused(socket: web.WebSocketResponse, _asked: bytes) -> None:
    await socket.send_bytes(b"\x01dial tcp 127.0.0.1:15000: connection refused")


async def not_found(socket: web.WebSocketResponse, _asked: bytes) -> None:
    await answer(socket, b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope")


async def silent(socket: web.WebSocketResponse, _asked: bytes) -> None:
    await answer(socket, b"")


@pytest.mark.parametrize(
    ("talk", "pod", "says"),
    [
        (refused, "a", "shop/a:15000/config_dump: dial tcp 127.0.0.1:15000: connection refused"),
        (not_found, "a", "shop/a:15000/config_dump: 404 nope"),
        (silent, "a", "shop/a:15000/config_dump: no HTTP answer"),
        (silent, "b", "shop/b:15000/config_dump: the port-forward is refused: 404 no such pod"),
    ],
)
def test_what_goes_wrong_is_told_with_pod_port_and_path(tmp_path: Path, talk: Talk, pod: str, says: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        ask(tmp_path, talk, pod)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("length", [b"many", b"-1", b""])
def test_a_length_that_is_none_is_the_end_of_the_connection(tmp_path: Path, length: bytes) -> None:
    async def talk(socket: web.WebSocketResponse, _asked: bytes) -> None:
        await answer(socket, b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n", b"{", b"}")

    assert ask(tmp_path, talk)[0] == b"{}"
