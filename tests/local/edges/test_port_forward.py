"""Port-forward: with kubectl, the official client and bare SPDY."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_mesh.clusters.local.apiserver.spdy import frames

sys.path.insert(0, str(Path(__file__).parent))

from asking import POD, TRANSPORTS, get, kubectl


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
