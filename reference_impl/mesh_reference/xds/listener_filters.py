"""Listener filters: the original destination, and the inspectors that look at a connection's first bytes.

An inspector waits for the client's bytes, so it is off on ports whose chains do not ask for its findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.listener.v3.listener_components_pb2 import (
    FilterChain,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.original_src.v3 import original_src_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.type.v3 import range_pb2

from mesh_reference.xds.messages import pack

if TYPE_CHECKING:
    from collections.abc import Iterable

TRANSPARENT_MARK = 1337
PLAIN_HTTP = ("http/1.0", "http/1.1", "h2c")
"""What the HTTP inspector finds, as chains match it."""


def original_destination() -> ListenerFilter:
    """Where the connection went before iptables turned it."""
    return ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(original_dst_pb2.OriginalDst()))


def original_source() -> ListenerFilter:
    """The application sees the client's address; capture knows such a connection by its mark (TPROXY mode)."""
    return ListenerFilter(
        name="envoy.filters.listener.original_src",
        typed_config=pack(original_src_pb2.OriginalSrc(mark=TRANSPARENT_MARK)),
    )


def tls_inspector(disabled: ListenerFilterChainMatchPredicate | None = None) -> ListenerFilter:
    """TLS or not, its ALPN and its SNI."""
    return ListenerFilter(
        name="envoy.filters.listener.tls_inspector",
        typed_config=pack(tls_inspector_pb2.TlsInspector()),
        filter_disabled=disabled,
    )


def http_inspector(disabled: ListenerFilterChainMatchPredicate | None = None) -> ListenerFilter:
    """HTTP in the clear or not; must follow the TLS inspector."""
    return ListenerFilter(
        name="envoy.filters.listener.http_inspector",
        typed_config=pack(http_inspector_pb2.HttpInspector()),
        filter_disabled=disabled,
    )


def inspectors_for(chains: Iterable[FilterChain]) -> list[ListenerFilter]:
    """The inspectors that these chains' matches need, each off on the ports that do not need it.

    Chains without a destination port stand for every other port (0).
    """
    tls: dict[int, bool] = {}
    http: dict[int, bool] = {}
    for chain in chains:
        match = chain.filter_chain_match
        port = match.destination_port.value
        tls[port] = tls.get(port, False) or match.transport_protocol == "tls"
        http[port] = http.get(port, False) or any(name in PLAIN_HTTP for name in match.application_protocols)
    out = []
    if any(tls.values()):
        out.append(tls_inspector(_disabled(tls)))
    if any(http.values()):
        out.append(http_inspector(_disabled(http)))
    return out


def _disabled(needed: dict[int, bool]) -> ListenerFilterChainMatchPredicate | None:
    """Off on exactly the ports that do not need it, with the default of all ports that are not named."""
    default = needed.get(0, False)
    exceptions = sorted(port for port, wanted in needed.items() if port and wanted != default)
    if not exceptions:
        return None if default else ListenerFilterChainMatchPredicate(any_match=True)
    ports = [
        ListenerFilterChainMatchPredicate(destination_port_range=range_pb2.Int32Range(start=port, end=port + 1))
        for port in exceptions
    ]
    predicate = (
        ports[0]
        if len(ports) == 1
        else ListenerFilterChainMatchPredicate(or_match=ListenerFilterChainMatchPredicate.MatchSet(rules=ports))
    )
    return predicate if default else ListenerFilterChainMatchPredicate(not_match=predicate)
