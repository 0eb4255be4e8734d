"""A fake kubelet and a small API server around the streaming routes, in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from pytest_mesh.clusters.local.apiserver import kubeconfigs, pki, streaming
from pytest_mesh.clusters.local.apiserver.admission import Admission
from pytest_mesh.clusters.local.apiserver.authentication import Authenticator
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.registry import Registry
from pytest_mesh.clusters.local.apiserver.rights import Authorizer
from pytest_mesh.clusters.local.apiserver.server import Server
from pytest_mesh.clusters.local.apiserver.store import Store
from pytest_mesh.clusters.local.races import first_of

sys.path.insert(0, str(Path(__file__).parent))

from admission_asked import CONFIG_MAPS, HOOKS, NAMESPACES, PODS, ROUTES_BETA, ROUTES_V1


class FakeKubelet:
    """Runs the commands of exec on the host, and forwards ports to the host's loopback."""

    def __init__(self):
        self.seen = []

    def application(self):
        app = web.Application()
        app.router.add_get("/containerLogs/{ns}/{pod}/{container}", self.logs)
        app.router.add_get("/exec/{ns}/{pod}/{container}", self.execute)
        app.router.add_get("/attach/{ns}/{pod}/{container}", self.attach)
        app.router.add_get("/portForward/{ns}/{pod}", self.forward)
        return app

    async def logs(self, request):
        self.seen.append((request.path, dict(request.query)))
        if "follow" not in request.query:
            return web.Response(text="one\ntwo\n")
        response = web.StreamResponse()
        await response.prepare(request)
        for line in (b"first\n", b"second\n"):
            await response.write(line)
        await response.write_eof()
        return response

    async def execute(self, request):
        command = request.query.getall("command")
        if command == ["refused"]:
            return web.Response(status=404, text='container not found ("app")')
        return await self.run(request, command)

    async def attach(self, request):
        return await self.run(request, ["cat"])

    async def run(self, request, command):
        self.seen.append((request.path, [*request.query.items()]))
        ws = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await ws.prepare(request)
        if command == ["vanish"]:
            await ws.close()
            return ws
        if command == ["sizes"]:
            message = await ws.receive()
            await ws.send_bytes(b"\1" + message.data[:1] + message.data[1:])
            await ws.send_bytes(b"\3" + json.dumps({"status": "Success", "metadata": {}}).encode())
            await ws.close()
            return ws
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)

        async def output(channel, stream):
            while data := await stream.read(4096):
                await ws.send_bytes(bytes([channel]) + data)

        async def inputs():
            async for message in ws:
                if message.type == WSMsgType.BINARY and message.data[0] == 0:
                    process.stdin.write(message.data[1:])
                    await process.stdin.drain()
                elif message.type == WSMsgType.BINARY and message.data == b"\xff\0":
                    process.stdin.close()
            if process.returncode is None:
                process.kill()

        if "stdin" not in request.query:
            process.stdin.close()
        try:
            reading = asyncio.create_task(inputs())
            await asyncio.gather(output(1, process.stdout), output(2, process.stderr))
            code = await process.wait()
            status = {"metadata": {}, "status": "Success"}
            if code:
                message = f"command terminated with non-zero exit code: exit status {code}"
                details = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
                status = {"status": "Failure", "reason": "NonZeroExitCode", "message": message, "details": details}
            with contextlib.suppress(ConnectionError):
                await ws.send_bytes(b"\3" + json.dumps(status).encode())
            await ws.close()
            reading.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            process._transport.close()
        return ws

    async def forward(self, request):
        port = int(request.query["port"])
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return web.Response(status=500, text=f"failed to connect to localhost:{port} inside namespace")
        ws = web.WebSocketResponse()

        async def up():
            async for message in ws:
                if message.type == WSMsgType.BINARY:
                    writer.write(message.data)
                    await writer.drain()
                elif message.type == WSMsgType.TEXT and message.data == "eof":
                    writer.write_eof()

        async def down():
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    await ws.send_bytes(data)

        try:
            await ws.prepare(request)
            await first_of(up(), down())
            await ws.close()
        finally:
            writer.close()
        return ws


@dataclass
class Api:
    """The API server of a test; ``url`` is https."""

    url: str
    run_dir: Path
    token: str
    store: Store
    kubelet: FakeKubelet
    loop: asyncio.AbstractEventLoop

    @property
    def kubeconfig(self):
        return self.run_dir / "kubeconfig"

    @property
    def ca(self):
        return self.run_dir / "ca.crt"

    def pod(self, name="web-1", *, containers=("app",), ports=(), ip="", phase="Running", node="mesh-node"):
        made = [{"name": one, "image": "x"} for one in containers]
        made[0]["ports"] = [{"containerPort": port} for port in ports]
        meta = {"namespace": "shop", "name": name, "uid": name, "labels": {}}
        spec = {"containers": made, **({"nodeName": node} if node else {})}
        status = {"phase": phase, "podIP": ip}
        self.store.put("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status})


RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "v1",
    "resources": [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]},
        {"name": "pods/exec", "singularName": "", "namespaced": True, "kind": "PodExecOptions", "verbs": ["create"]},
    ],
}


def plain_routes(server):
    """What kubectl asks before it streams."""

    async def versions(_):
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})

    async def groups(_):
        return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})

    async def resources(_):
        return web.json_response(RESOURCES)

    async def pod(request):
        found = server.store.get("pods", request.match_info["namespace"], request.match_info["name"])
        return web.json_response(found)

    return [
        web.get("/api", versions),
        web.get("/apis", groups),
        web.get("/api/v1", resources),
        web.get("/api/v1/namespaces/{namespace}/pods/{name}", pod),
    ]


async def serve(run_dir, kubelet, publish, stop):
    store = Store()
    registry = Registry([])
    authenticator = Authenticator(store)
    server = Server(
        run_dir=run_dir,
        node_address="10.244.0.1",
        store=store,
        registry=registry,
        authenticator=authenticator,
        admission=Admission(store, registry),
        authorizer=Authorizer(store),
    )

    @web.middleware
    async def statuses(request, handler):
        try:
            authenticator.authenticate(request.headers)
            return await handler(request)
        except StatusError as error:
            return web.json_response(error.to_json(), status=error.code)

    app = web.Application(middlewares=[statuses])
    app.add_routes(streaming.routes(server))
    app.add_routes(plain_routes(server))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    below = web.AppRunner(kubelet.application(), handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await below.setup()
    await web.UnixSite(below, str(run_dir / "kubelet.sock")).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=pki.serving_context(run_dir, "10.244.0.1")).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    token = authenticator.admin_token
    kubeconfigs.write(run_dir / "kubeconfig", server=url, ca_pem=(run_dir / "ca.crt").read_bytes(), token=token)
    loop = asyncio.get_running_loop()
    publish(Api(url=url, run_dir=run_dir, token=token, store=store, kubelet=kubelet, loop=loop))
    await stop.wait()
    await runner.cleanup()
    await below.cleanup()
    # A client that never closes its socket would hold a TLS goodbye for half a minute.
    for transport in list(asyncio.get_running_loop()._transports.values()):
        transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
def api(tmp_path):
    """Serve; the store may be filled from the test's thread before it asks anything."""
    tmp_path.chmod(0o700)
    ready = threading.Event()
    box = {}

    async def main():
        box["stop"] = asyncio.Event()

        def publish(made):
            box["api"] = made
            ready.set()

        try:
            await serve(tmp_path, FakeKubelet(), publish, box["stop"])
        finally:
            ready.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    made = box["api"]
    try:
        yield made
    finally:
        made.loop.call_soon_threadsafe(box["stop"].set)
        thread.join(10)
        assert not thread.is_alive(), "a streaming handler did not end"


@pytest.fixture
def core(api):
    """The official client."""
    import kubernetes

    client = kubernetes.config.new_client_from_config(str(api.kubeconfig))
    yield kubernetes.client.CoreV1Api(client)
    client.close()


@pytest.fixture
def stream():
    import kubernetes.stream

    yield kubernetes.stream
    for thread in threading.enumerate():
        if thread.name.startswith("Kubernetes port forward"):
            thread.join(10)
    with warnings.catch_warnings():
        # The official client leaves its sockets to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def authority():
    return pki.CertificateAuthority()


@pytest.fixture
def store():
    store = Store()
    store.put("namespaces", {"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}})
    store.put("serviceaccounts", {"metadata": {"namespace": "shop", "name": "default", "uid": "1"}})
    return store


@pytest.fixture
def admission(store):
    return Admission(store, Registry([PODS, NAMESPACES, CONFIG_MAPS, ROUTES_V1, ROUTES_BETA, HOOKS]))
