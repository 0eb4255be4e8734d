"""The proxy subresources of pods and services."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import web

from pytest_mesh.clusters.local.apiserver.streams import targets

sys.path.insert(0, str(Path(__file__).parent))

from asking import POD, connect, get


@pytest.fixture
def upstream(monkeypatch):
    """An HTTP server that tells what it was asked; proxied to although it is on the loopback."""
    monkeypatch.setattr(targets, "_is_unicast", bool)
    started = threading.Event()
    box = {}

    async def tell(request):
        body = await request.read()
        seen = {"method": request.method, "path": request.raw_path, "body": body.decode(), "via": dict(request.headers)}
        return web.json_response(seen, status=int(request.query.get("status", 200)), headers={"X-Own": "yes"})

    async def slow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"early\n")
        await box["go"].wait()
        await response.write(b"late\n")
        return response

    async def broken(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        request.transport.abort()
        return response

    async def chat(request):
        ws = web.WebSocketResponse(protocols=("chat",))
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data.upper())
            break
        await ws.close()
        return ws

    async def main():
        box["loop"], box["stop"], box["go"] = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/slow", slow)
        app.router.add_get("/broken", broken)
        app.router.add_get("/chat", chat)
        app.router.add_route("*", "/{path:.*}", tell)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        box["port"] = runner.addresses[0][1]
        started.set()
        await box["stop"].wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(5)
    yield box
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(5)


def test_a_proxied_request_arrives_whole_and_without_credentials(api, upstream):
    import json

    api.pod(ip="127.0.0.1")
    path = f"/api/v1/namespaces/shop/pods/web-1:{upstream['port']}/proxy/a%2Fb/proxy/c?x=1&x=%202&status=418"
    status, headers, body = get(api, path, method="PUT", data=b"payload", headers={"X-Mine": "1"})
    seen = json.loads(body)
    assert (status, headers["X-Own"]) == (418, "yes")
    assert (seen["method"], seen["path"], seen["body"]) == (
        "PUT",
        "/a%2Fb/proxy/c?x=1&x=%202&status=418",
        "payload",
    )
    assert seen["via"]["X-Mine"] == "1"
    assert "Authorization" not in seen["via"]
    assert seen["via"]["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_is_proxied(api, upstream, method):
    api.pod(ip="127.0.0.1", ports=(upstream["port"],))
    status, _, body = get(api, f"{POD}/proxy/", method=method)
    assert status == 200
    assert (method == "HEAD") == (body == b"")


def test_the_path_ends_at_the_root_without_one(api, upstream):
    api.pod(ip="127.0.0.1", ports=(upstream["port"],))
    assert b'"path": "/"' in get(api, f"{POD}/proxy")[2]


def test_an_answer_streams_while_it_is_made(api, upstream):
    api.pod(ip="127.0.0.1", ports=(upstream["port"],))
    host, port = api.url.removeprefix("https://").split(":")
    connection = http.client.HTTPSConnection(
        host, int(port), context=ssl.create_default_context(cafile=str(api.ca)), timeout=10
    )
    connection.request("GET", f"{POD}/proxy/slow", headers={"Authorization": f"Bearer {api.token}"})
    with connection.getresponse() as answer:
        assert answer.readline() == b"early\n"
        upstream["loop"].call_soon_threadsafe(upstream["go"].set)
        assert answer.read() == b"late\n"
    connection.close()


def test_an_answer_that_breaks_off_does_not_pass_for_whole(api, upstream):
    api.pod(ip="127.0.0.1", ports=(upstream["port"],))
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        get(api, f"{POD}/proxy/broken")


def test_a_websocket_is_proxied(api, upstream):
    api.pod(ip="127.0.0.1", ports=(upstream["port"],))

    ws = connect(api, f"{POD}/proxy/chat", "chat")
    ws.send("hi")
    assert (ws.subprotocol, ws.recv()) == ("chat", "HI")
    ws.close()


def test_a_service_is_proxied_to_a_ready_pod_by_port_number_or_name(api, upstream):
    ports = [{"name": "http", "port": 80}]
    api.store.put("services", {"metadata": {"namespace": "shop", "name": "web"}, "spec": {"ports": ports}})
    ready = {"addresses": ["127.0.0.1"], "targetRef": {"kind": "Pod", "name": "web-1"}}
    labels = {"kubernetes.io/service-name": "web"}
    api.store.put(
        "endpointslices.discovery.k8s.io",
        {
            "metadata": {"namespace": "shop", "name": "web-x", "labels": labels},
            "ports": [{"name": "http", "port": upstream["port"]}],
            "endpoints": [ready],
        },
    )
    for target in ("web:80", "web:http", "http:web:http"):
        assert get(api, f"/api/v1/namespaces/shop/services/{target}/proxy/x")[0] == 200, target
    status, _, body = get(api, "/api/v1/namespaces/shop/services/web:81/proxy/x")
    assert (status, b"no service port 81 found" in body) == (503, True)
    status, _, body = get(api, "/api/v1/namespaces/shop/services/web/proxy/x")
    assert (status, b"no endpoints available for service" in body) == (503, True)


def test_a_pod_that_does_not_listen_is_a_503_that_says_so(api, upstream):
    api.pod(ip="127.0.0.1", ports=(1,))
    status, _, body = get(api, f"{POD}/proxy/")
    assert status == 503
    assert b"error trying to reach service: dial tcp 127.0.0.1:1: connect: connection refused" in body


@pytest.mark.parametrize("ip", ["", "127.0.0.1", "169.254.169.254", "0.0.0.0"])
def test_only_a_pods_own_address_is_proxied_to(api, ip):
    api.pod(ip=ip)
    status, _, body = get(api, f"{POD}/proxy/")
    assert (status, b"address not allowed" in body) == (400, True)
