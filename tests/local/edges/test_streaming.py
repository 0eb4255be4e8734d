"""Logs, exec, attach, port-forward and proxy: with kubectl, the official client and bare protocols."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
import warnings

import pytest
import websocket
from aiohttp import web

from pytest_mesh.clusters.local.apiserver.spdy import frames
from pytest_mesh.clusters.local.apiserver.streams import targets

kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

SPDY_ONLY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
TRANSPORTS = pytest.mark.parametrize("env", [{}, SPDY_ONLY], ids=["websocket", "spdy"])


def run(api, *args, stdin=None, env=None, timeout=20):
    return subprocess.run(
        ["kubectl", f"--kubeconfig={api.kubeconfig}", "-n", "shop", *args],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, **(env or {}), "HOME": str(api.run_dir)},
        check=False,
    )


def get(api, path, *, method="GET", data=None, headers=None):
    """Give status, headers and body."""
    context = ssl.create_default_context(cafile=str(api.ca))
    given = {"Authorization": f"Bearer {api.token}", **(headers or {})}
    request = urllib.request.Request(api.url + path, method=method, data=data, headers=given)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def connect(api, path, protocol):
    """Open a WebSocket."""
    return websocket.create_connection(
        api.url.replace("https", "wss") + path,
        sslopt={"ca_certs": str(api.ca)},
        header=[f"Authorization: Bearer {api.token}"],
        subprotocols=[protocol],
        timeout=10,
    )


POD = "/api/v1/namespaces/shop/pods/web-1"


# ---------------------------------------------------------------- logs


def test_logs_are_the_kubelets(api):
    api.pod()
    assert get(api, f"{POD}/log?tailLines=2&timestamps=true")[2] == b"one\ntwo\n"
    assert api.kubelet.seen == [("/containerLogs/shop/web-1/app", {"tailLines": "2", "timestamps": "true"})]


@kubectl
def test_kubectl_follows_logs_to_their_end(api):
    api.pod()
    done = run(api, "logs", "-f", "web-1")
    assert (done.returncode, done.stdout) == (0, b"first\nsecond\n"), done.stderr


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("?container=db", 400, b"container db is not valid for pod web-1"),
        ("", 400, b"a container name must be specified for pod web-1, choose one of: [app proxy]"),
        ("?container=app&tailLines=-1", 422, b"must be greater than or equal to 0"),
        ("?container=app&sinceSeconds=0", 422, b"must be greater than 0"),
        ("?container=app&tailLines=x", 400, b"invalid syntax"),
        ("?container=app&sinceSeconds=1&sinceTime=2024-01-01T00:00:00Z", 422, b"at most one of"),
    ],
)
def test_logs_of_no_container_or_by_bad_options_are_refused(api, query, code, words):
    api.pod(containers=("app", "proxy"))
    status, _, body = get(api, f"{POD}/log{query}")
    assert status == code
    assert words in body


def test_logs_of_a_missing_pod_are_not_found(api):
    assert get(api, f"{POD}/log")[0] == 404


def test_logs_of_a_pod_without_a_node_are_empty(api):
    api.pod(node="")
    assert get(api, f"{POD}/log")[2] == b""


# ---------------------------------------------------------------- exec and attach


@kubectl
@TRANSPORTS
def test_kubectl_exec_passes_input_output_errors_and_exit_code(api, env):
    api.pod()
    script = "tr a-z A-Z; echo wrong >&2; exit 3"
    done = run(api, "exec", "-i", "web-1", "--", "sh", "-c", script, stdin=b"hello\n", env=env)
    assert (done.returncode, done.stdout) == (3, b"HELLO\n"), done.stderr
    assert b"wrong" in done.stderr


@kubectl
@TRANSPORTS
def test_kubectl_exec_carries_a_megabyte_each_way(api, env):
    api.pod()
    big = os.urandom(1 << 20)
    done = run(api, "exec", "-i", "web-1", "--", "cat", stdin=big, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == big


@kubectl
@TRANSPORTS
def test_kubectl_attach_reads_the_running_container(api, env):
    api.pod()
    done = run(api, "attach", "-i", "web-1", stdin=b"hi\n", env=env)
    assert done.stdout == b"hi\n", done.stderr


@kubectl
@TRANSPORTS
def test_kubectl_exec_shows_why_the_kubelet_refused(api, env):
    api.pod()
    done = run(api, "exec", "web-1", "--", "refused", env=env)
    assert done.returncode == 1
    assert b'container not found ("app")' in done.stderr


@kubectl
@TRANSPORTS
def test_a_kubelet_that_breaks_off_is_a_failure_and_no_success(api, env):
    api.pod()
    done = run(api, "exec", "web-1", "--", "vanish", env=env)
    assert done.returncode == 1
    assert b"the kubelet ended the stream without a status" in done.stderr


def test_exec_ends_below_when_the_client_goes(api):
    api.pod()

    connect(api, f"{POD}/exec?command=sleep&command=60&stdout=1", "v5.channel.k8s.io").close()
    # The fixture's end fails if a handler is still running; the fake kubelet kills the command.


@pytest.mark.parametrize(
    ("query", "words"),
    [("command=x", b"at least 1 of stdin, stdout, stderr"), ("stdout=1", b"must specify a command")],
)
def test_exec_without_a_stream_or_a_command_is_refused(api, query, words):
    api.pod()
    status, _, body = get(api, f"{POD}/exec?{query}")
    assert status == 400
    assert words in body


def test_exec_without_an_upgrade_is_refused(api):
    api.pod()
    status, _, body = get(api, f"{POD}/exec?command=x&stdout=1")
    assert (status, b"Upgrade request required" in body) == (400, True)


def test_exec_by_a_protocol_without_exit_codes_is_refused(api):
    api.pod()
    host, port = api.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(api.ca))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    offered = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "channel.k8s.io"}
    headers = {"Authorization": f"Bearer {api.token}", **offered}
    connection.request("POST", f"{POD}/exec?command=x&stdout=1", headers=headers)
    with connection.getresponse() as answer:
        assert answer.status == 400
        assert b"unable to negotiate protocol" in answer.read()
    connection.close()


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


def test_the_official_client_runs_a_command(api, core, stream):
    api.pod()
    script = "read line; echo got $line; echo wrong >&2; exit 4"
    ws = stream.stream(
        core.connect_get_namespaced_pod_exec,
        "web-1",
        "shop",
        command=["sh", "-c", script],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    ws.write_stdin("something\n")
    ws.run_forever(timeout=10)
    assert (ws.read_stdout(), ws.read_stderr()) == ("got something\n", "wrong\n")
    assert ws.returncode == 4
    ws.sock.close()  # its own close() does nothing once the server has closed


def test_base64_channels_carry_the_same(api):
    api.pod()

    ws = connect(api, f"{POD}/exec?command=echo&command=hi&stdout=1", "v4.base64.channel.k8s.io")
    assert ws.recv() == "1aGkK"
    assert ws.recv().startswith("3")
    ws.close()


# ---------------------------------------------------------------- port-forward


class Echo(socketserver.BaseRequestHandler):
    """Answers with everything it got, in capitals, once the client has closed its half."""

    def handle(self):
        got = b""
        while data := self.request.recv(1 << 16):
            got += data
        self.request.sendall(got.upper())


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def echo():
    with Server(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextlib.contextmanager
def forwarding(api, port, env):
    process = subprocess.Popen(
        ["kubectl", f"--kubeconfig={api.kubeconfig}", "-n", "shop", "port-forward", "web-1", f":{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env, "HOME": str(api.run_dir)},
    )
    try:
        line = process.stdout.readline()
        assert "Forwarding from 127.0.0.1:" in line, process.stderr.read()
        yield int(line.split("127.0.0.1:")[1].split()[0]), process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(5)
        process.stdout.close()
        process.stderr.close()


def exchange(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        threading.Thread(target=send, args=(connection, data)).start()
        got = b""
        while chunk := connection.recv(1 << 16):
            got += chunk
        return got


def send(connection, data):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


@kubectl
@TRANSPORTS
def test_kubectl_port_forward_carries_many_connections_with_half_close(api, echo, env):
    api.pod()
    with forwarding(api, echo, env) as (port, _):
        for size in (1, 10, 1 << 20):
            assert exchange(port, b"a" * size) == b"A" * size


@kubectl
@TRANSPORTS
def test_kubectl_port_forward_reports_a_port_that_nobody_serves(api, env):
    api.pod()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    with forwarding(api, dead, env) as (port, process):
        with contextlib.suppress(ConnectionError):
            exchange(port, b"x")
        line = process.stderr.readline()
        assert f"error forwarding port {dead} to pod" in line
        assert f"failed to connect to localhost:{dead}" in line


def test_the_official_client_forwards_a_port(api, core, stream):
    class Hello(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"hello " + self.request.recv(100))

    api.pod()
    with Server(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        port = server.server_address[1]
        forward = stream.portforward(core.connect_get_namespaced_pod_portforward, "web-1", "shop", ports=str(port))
        connection = forward.socket(port)
        connection.sendall(b"you")
        assert connection.recv(100) == b"hello you"
        assert forward.error(port) is None
        connection.close()
        server.shutdown()


def test_the_official_client_learns_why_a_port_is_not_served(api, core, stream):
    api.pod()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    forward = stream.portforward(core.connect_get_namespaced_pod_portforward, "web-1", "shop", ports=str(dead))
    connection = forward.socket(dead)
    assert connection.recv(100) == b""
    assert f"failed to connect to localhost:{dead}" in forward.error(dead)
    connection.close()


@pytest.mark.parametrize("phase", ["Pending", "Succeeded"])
def test_a_pod_that_does_not_run_forwards_nothing(api, phase):
    api.pod(phase=phase)
    status, _, body = get(api, f"{POD}/portforward?ports=80")
    assert status == 400
    assert f"pod is not running. Current status={phase}".encode() in body


def test_a_spdy_client_may_reset_a_pair_and_open_another(api, echo):
    api.pod()
    context = ssl.create_default_context(cafile=str(api.ca))
    host, port = api.url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as wire,
    ):
        lines = [
            f"POST {POD}/portforward HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {api.token}",
            "Connection: Upgrade",
            "Upgrade: SPDY/3.1",
            "X-Stream-Protocol-Version: portforward.k8s.io",
        ]
        wire.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += wire.recv(1)
        assert b" 101 " in head
        encoder, decoder = frames.FrameEncoder(), frames.FrameDecoder()

        def tell(*given):
            wire.sendall(b"".join(encoder.encode(frame) for frame in given))

        def pair(number, request):
            shared = {"port": str(echo), "requestid": request}
            tell(
                frames.SynStream(stream=number, headers={"streamtype": "error", **shared}, fin=True),
                frames.SynStream(stream=number + 2, headers={"streamtype": "data", **shared}),
            )

        pair(1, "0")
        tell(frames.Data(stream=3, payload=b"lost"), frames.RstStream(stream=3, status=frames.CANCEL))
        pair(5, "1")
        tell(frames.Data(stream=7, payload=b"kept", fin=True))
        got = b""
        while b"KEPT" not in got:
            for frame in decoder.feed(wire.recv(1 << 16)):
                if isinstance(frame, frames.Data) and frame.stream == 7:
                    got += frame.payload


# ---------------------------------------------------------------- proxy


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
