"""Which filter chain of a listener takes a connection: Envoy's choice by port, TLS, server name and protocols. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.commands.dump import chains

if TYPE_CHECKING:
    from mesh_reference.commands.route_matching import Request

Json = dict[str, Any]
PLAIN = "plaintext"


def outbound(listener: Mapping[str, Any], request: Request) -> Json | None:
    """The filter chain for plain HTTP, or for TLS with the host as its SNI; the default one last."""
    tls = request.scheme == "https"
    best: tuple[int, Json] | None = None
    for chain in chains(listener):
        match = chain.get("filter_chain_match") or {}
        names = match.get("server_names") or ()
        transport = match.get("transport_protocol", "")
        if transport and (transport == "tls") != tls:
            continue
        if match.get("destination_port") not in {None, request.port}:
            continue
        if names and not (tls and any(_takes_name(str(name), request.host) for name in names)):
            continue
        if match.get("application_protocols") and tls and transport != "tls":
            continue
        rank = 4 * bool(names) + 2 * bool(match.get("application_protocols")) + bool(transport)
        if best is None or rank > best[0]:
            best = (rank, chain)
    return best[1] if best else None


def _takes_name(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.startswith("*") and name.endswith(pattern[1:]))


def inbound(listener: Json, port: int, sort: str, offered: tuple[str, ...]) -> Json | None:
    """Envoy's choice: first by port, then by TLS or not, then by protocols; what is more particular comes before."""
    every = [(chain, chain.get("filter_chain_match") or {}) for chain in chains(listener)]
    own = [item for item in every if item[1].get("destination_port") == port]
    candidates = own or [item for item in every if "destination_port" not in item[1]]
    transport = "raw_buffer" if sort == PLAIN else "tls"
    candidates = [item for item in candidates if item[1].get("transport_protocol", transport) == transport]
    told = offered if sort != PLAIN else ("http/1.1",)
    named = [item for item in candidates if set(item[1].get("application_protocols") or ()) & set(told)]
    plain = [item for item in candidates if not item[1].get("application_protocols")]
    return next((chain for chain, _match in (*named, *plain)), None)
