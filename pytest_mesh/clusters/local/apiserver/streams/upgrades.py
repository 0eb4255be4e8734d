"""Which upgrade a request asks for, WebSocket or SPDY, and which subprotocol it gets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What to speak with the client."""

    websocket: bool
    protocol: str


def wanted(request: web.Request, websocket_protocols: Sequence[str], spdy_protocols: Sequence[str]) -> Upgrade:
    """Choose the first protocol of the client's that is in ours; raises StatusError 400 if there is none."""
    tokens = [token.strip().lower() for token in request.headers.get("Connection", "").split(",")]
    upgrade = request.headers.get("Upgrade", "").lower() if "upgrade" in tokens else ""
    if upgrade == "websocket":
        ours, header = websocket_protocols, "Sec-WebSocket-Protocol"
    elif upgrade == "spdy/3.1":
        ours, header = spdy_protocols, "X-Stream-Protocol-Version"
    else:
        raise errors.bad_request("Upgrade request required")
    offered = [name.strip() for value in request.headers.getall(header, []) for name in value.split(",")]
    chosen = next((name for name in offered if name in ours), None)
    if chosen is None:
        raise errors.bad_request(
            f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts {list(ours)}"
        )
    return Upgrade(websocket=upgrade == "websocket", protocol=chosen)
