"""A tunnel says why a connection could not be led on, and lets go of those that are over."""

from __future__ import annotations

import socket
import threading

from pytest_mesh import tunnels
from pytest_mesh.tunnels import tunnel


class Pod:
    """The pod's end of a forwarded connection: says nothing, and goes when it is told."""

    def __init__(self):
        self.sock = None
        self.gone = threading.Event()

    def settimeout(self, seconds):
        pass

    def send_binary(self, data):
        pass

    def recv(self):
        self.gone.wait(5)
        return b""

    def shutdown(self):
        self.gone.set()


class Kube:
    def __init__(self, *pods):
        self._pods = list(pods)

    def forward(self, *_, **__):
        pod = self._pods.pop(0)
        if isinstance(pod, Exception):
            raise pod
        return pod


def connected(where):
    host, _, port = where.partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def test_a_port_forward_that_fails_is_told(caplog):
    with tunnel(Kube(OSError("pod web-1 is gone")), "shop", "web-1", 80) as where, connected(where) as client:
        assert client.recv(1) == b""
    assert [record.getMessage() for record in caplog.records] == ["port-forward to shop/web-1:80: pod web-1 is gone"]


def test_connections_that_are_over_are_let_go(monkeypatch):
    closed = threading.Event()
    close = tunnels._Connection.close
    monkeypatch.setattr(tunnels._Connection, "close", lambda end: (close(end), closed.set()))
    pods = [Pod(), Pod()]
    with tunnel(Kube(*pods), "shop", "web-1", 80) as where:
        pods[0].gone.set()
        with connected(where) as client:
            assert client.recv(1) == b""
        for thread in threading.enumerate():
            if thread.name.endswith(("(_send)", "(_receive)")):
                thread.join(5)
        with connected(where):
            assert closed.wait(5)
            pods[1].gone.set()
