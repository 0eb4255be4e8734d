"""A port of this machine that leads to a port of a pod, by port-forward: for clients that want a TCP address.

One connection after the other or several at once; bytes are passed, nothing is read.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_mesh.kube import DATA, Kube

_log = logging.getLogger(__name__)

CHUNK = 32 * 1024
OPEN_SECONDS = 10.0


@contextmanager
def tunnel(kube: Kube, namespace: str, pod: str, port: int) -> Iterator[str]:
    """Give ``host:port`` on loopback for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ends: list[_Connection] = []
        accepting = threading.Thread(target=_accept, args=(listening, kube, namespace, pod, port, ends), daemon=True)
        accepting.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            accepting.join()
            for end in ends:
                end.close()


def _accept(listening: socket.socket, kube: Kube, namespace: str, pod: str, port: int, ends: list[_Connection]) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # the block is over
            return
        try:
            websocket = kube.forward(namespace, pod, port, seconds=OPEN_SECONDS)
        except Exception as error:  # noqa: BLE001 - they have no common root; the client sees a closed connection
            _log.warning("port-forward to %s/%s:%d: %s", namespace, pod, port, error)
            client.close()
            continue
        for over in [end for end in ends if end.over]:
            over.close()
            ends.remove(over)
        ends.append(_Connection(client, websocket))


class _Connection:
    """Two ends and the two threads that pass bytes between them."""

    def __init__(self, client: socket.socket, websocket: Any) -> None:
        self._client = client
        self._websocket = websocket
        websocket.settimeout(None)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    @property
    def over(self) -> bool:
        """Whether nothing more can pass."""
        return not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Close both ends and wait for the threads."""
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._shut()
        for thread in self._threads:
            thread.join(OPEN_SECONDS)
        self._client.close()
        with contextlib.suppress(Exception):
            self._websocket.shutdown()

    def _shut(self) -> None:
        """Wake the thread that reads from the pod."""
        sock = self._websocket.sock
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)

    def _send(self) -> None:
        with contextlib.suppress(Exception):  # whichever end breaks, the other is told
            while data := self._client.recv(CHUNK):
                self._websocket.send_binary(DATA + data)
        self._shut()

    def _receive(self) -> None:
        opened: set[int] = set()
        with contextlib.suppress(Exception):
            while frame := self._websocket.recv():
                channel = frame[0]
                if channel not in opened:
                    opened.add(channel)  # the first frame of each channel holds the port's number
                elif channel == DATA[0]:
                    self._client.sendall(bytes(frame[1:]))
                else:
                    break
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
