"""The owner's line to a cluster's API server: one JSON exchange over the Unix socket in the run directory.

What can be asked stands in ``apiserver.control``. It speaks no Kubernetes and keeps no connection.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mesh.contracts import Json

SOCKET: Final = "control.sock"
"""Below the run directory."""

SECONDS: Final = 60.0
"""Longest wait for an answer."""


class ControlError(Exception):
    """The API server refused or did not answer; the text says what it said."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(directory: Path, method: str, path: str, body: Json | None = None) -> Json:
    """Give the answer to one request to the cluster in ``directory``; raises ControlError."""
    connection = _Connection(directory / SOCKET)
    try:
        connection.request(method, path, body=json.dumps(body or {}), headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"{method} {path} at {directory / SOCKET}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ControlError(f"{method} {path}: {answer.status} {text}")
    found: Json = json.loads(text)
    return found
