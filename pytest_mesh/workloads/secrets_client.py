"""Asks the agent of its own pod for secrets, as the pod's proxy does: StreamSecrets (SDS) over a Unix socket.

It judges nothing, and no private key leaves the pod: of a key it says that it was
there.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_mesh.protobuf_wire import field, lengths
from pytest_mesh.workloads import packages

packages.reachable()

from h2.config import H2Configuration  # noqa: E402 - after its folder is known
from h2.connection import H2Connection  # noqa: E402
from h2.events import (  # noqa: E402
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError  # noqa: E402

Json = dict[str, Any]

METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
TYPE_URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
NODE = "sidecar~127.0.0.1~asker.asker~asker.svc.cluster.local"
_TYPES: dict[str, type | tuple[type, ...]] = {"socket": str, "names": list, "timeout": (int, float)}


class SecretsError(ValueError):
    """Arguments that ask for no secrets; the message names the field."""


def parse_secrets(data: Json) -> Json:
    """Read the keyword arguments of :func:`secrets` from JSON; raises :class:`SecretsError`."""
    if not isinstance(data, dict):
        raise SecretsError("a request for secrets is a JSON object")
    for name, value in data.items():
        if name not in _TYPES:
            raise SecretsError(f"{name}: not known here (known: {', '.join(_TYPES)})")
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise SecretsError(f"{name}: {value!r} is of the wrong type")
    if not data.get("socket") or not data.get("names") or not all(isinstance(one, str) for one in data["names"]):
        raise SecretsError("socket, names: both are required, names are strings")
    return data


def secrets(socket: str, names: Sequence[str], *, timeout: float = 5.0) -> Json:
    """Ask for secrets by name on one stream, and wait for one answer.

    Returns ``secrets`` (of each ``name``, ``chain`` and ``roots`` as PEM, and whether a private ``key`` came), ``status`` (the
    stream's gRPC status by its number; empty while it is open), and ``failure`` (why there was neither). Never
    raises for what the agent does.
    """
    answer: Json = {"secrets": [], "status": "", "message": "", "failure": ""}
    try:
        answer |= _asked(socket, names, time.monotonic() + timeout)
    except (OSError, ProtocolError, ValueError, LookupError) as error:
        answer["failure"] = f"{type(error).__name__}: {error}"
    return answer


def _asked(path: str, names: Sequence[str], deadline: float) -> Json:
    http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    stream = http.get_next_available_stream_id()
    pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", METHOD)]
    http.send_headers(stream, [*pseudo, ("content-type", "application/grpc"), ("te", "trailers")])
    message = field(2, field(1, NODE)) + b"".join(field(3, name) for name in names)
    message += field(4, TYPE_URL)
    # The stream stays open, as Envoy's does: what has ended need not be answered.
    http.send_data(stream, b"\0" + len(message).to_bytes(4) + message)
    body, told = bytearray(), dict[str, str]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
        plain.settimeout(max(deadline - time.monotonic(), 0.1))
        plain.connect(path)
        while True:
            plain.sendall(http.data_to_send())
            plain.settimeout(max(deadline - time.monotonic(), 0.1))
            data = plain.recv(65_536)
            if not data:
                return {"failure": "closed without an answer"}
            for event in http.receive_data(data):
                if isinstance(event, DataReceived):
                    http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                    body += event.data or b""
                elif isinstance(event, ResponseReceived | TrailersReceived):
                    told |= {str(name): str(value) for name, value in event.headers or ()}
                elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                    if "grpc-status" not in told:
                        return {"failure": f"ended without a status: {type(event).__name__}"}
                    return {"status": told["grpc-status"], "message": told.get("grpc-message", "")}
            if len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5]):
                return {"secrets": list(_secrets(bytes(body[5 : 5 + int.from_bytes(body[1:5])])))}


def _secrets(response: bytes) -> Iterator[Json]:
    """Read a DiscoveryResponse: resources (2) are Any messages, whose value (2) is a Secret."""
    for number, resource in lengths(response):
        if number == 2:
            yield _secret(b"".join(value for inner, value in lengths(resource) if inner == 2))


def _secret(message: bytes) -> Json:
    """Read a Secret: name (1), tls_certificate (2) of chain (1) and key (2), validation_context (4) of roots (1)."""
    found: Json = {"name": "", "chain": "", "roots": "", "key": False}
    for number, value in lengths(message):
        if number == 1:
            found["name"] = value.decode()
        elif number == 2:
            for part, source in lengths(value):
                if part == 1:
                    found["chain"] = _text(source)
                elif part == 2:
                    found["key"] = bool(_text(source))
        elif number == 4:
            found["roots"] = "".join(_text(source) for part, source in lengths(value) if part == 1)
    return found


def _text(source: bytes) -> str:
    """Read a DataSource's inline bytes (2) or string (3)."""
    return "".join(value.decode() for number, value in lengths(source) if number in {2, 3})
