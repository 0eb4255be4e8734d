"""Sends scenes to an API server and gives its answers, normalised. Knows neither server."""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from normalising import CAUTION, at, normalised, picked, words
from scenes import Request, Scene, core, post

AGENT = "differential/1"
SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is decoded JSON, or text; ``warnings`` those of the API server itself."""

    status: int
    body: Any
    warnings: list[str]

    def to_json(self) -> list[Any]:
        return [self.status, self.body, self.warnings]


class Sender:
    """One connection to one server. Not for two threads."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._token = token
        self._host, self._port = parts.hostname or "", parts.port
        self._context = ssl._create_unverified_context() if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._context is not None:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=30, context=self._context
                )
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        return self._connection

    def run(self, scene: Scene) -> Iterator[Answer]:
        """Send a scene's requests one after the other; gives their answers."""
        names = {"ns": f"d-{scene.family}-{scene.name}"}
        if scene.namespace:
            made = [
                post("/api/v1/namespaces", {"metadata": {"name": "$ns"}}),
                post(core("serviceaccounts"), {"metadata": {"name": "default"}}),
            ]
            for request in made:
                status, body, _ = self._send(request, names)
                assert status == 201, (scene.name, body)
        for request in scene.requests:
            if request.method == "SETTLE":
                self._settle(request, names)
                continue
            status, body, warnings = self._send(request, names)
            for name, path in request.keep.items():
                names[name] = str(at(body, path))
            told = [words(text) for text in warnings if not text.startswith(CAUTION)]
            yield Answer(status, picked(normalised(body), request.only), told)

    def _settle(self, request: Request, names: dict[str, str]) -> None:
        """Ask until what was defined or bound has effect: a real API server takes a moment."""
        end = time.monotonic() + SETTLE_SECONDS
        while self._send(replace(request, method="GET"), names)[0] != 200:
            assert time.monotonic() < end, f"{request.path} is not served"
            threading.Event().wait(0.1)

    def _send(self, request: Request, names: dict[str, str]) -> tuple[int, Any, list[str]]:
        headers = {"Accept": request.accept, "User-Agent": AGENT}
        headers |= {name: _filled(value, names) for name, value in request.headers.items()}
        if request.token:
            token = self._token if request.token == "admin" else _filled(request.token, names)
            headers["Authorization"] = f"Bearer {token}"
        data = _data(request.body, names)
        if data is not None and request.content_type:
            headers["Content-Type"] = request.content_type
        connection = self._connect()
        try:
            connection.request(request.method, _filled(request.path, names), data, headers)
        except (BrokenPipeError, ConnectionResetError):
            # The server refused a body before it had read all of it: its answer lies there all the same.
            if connection.sock is None:
                raise
        answer = connection.getresponse()
        warnings = [text.split('"', 1)[1].rstrip('"') for text in answer.headers.get_all("Warning", [])]
        if request.events:
            body: Any = _events(answer, request.events) if answer.status == 200 else _decoded(answer.read())
            self.close()
        else:
            raw = answer.read()
            if answer.will_close or answer.status == 413:
                self.close()
            body = _decoded(raw)
        return answer.status, body, warnings


def _events(answer: http.client.HTTPResponse, count: int) -> list[Any]:
    """Read events of a watch; fewer if the server ends it."""
    lines = iter(answer.readline, b"")
    return [json.loads(line) for line in itertools.islice(lines, count)]


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace").strip()


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"${name}", value)
    return text


def _data(body: Any, names: dict[str, str]) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    text = body if isinstance(body, str) else json.dumps(body)
    return _filled(text, names).encode()
