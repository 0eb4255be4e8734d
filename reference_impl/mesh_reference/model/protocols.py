"""Which protocol a Service port speaks (istio-semantics §1.6): appProtocol, then the port's name, then well-known numbers."""

from __future__ import annotations

from enum import StrEnum


class Protocol(StrEnum):
    """What a port speaks. AUTO = not said: the proxy looks at the first bytes."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    MYSQL = "MySQL"
    REDIS = "Redis"
    UDP = "UDP"
    AUTO = "AUTO"

    @property
    def is_http(self) -> bool:
        return self in {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}

    @property
    def is_http2(self) -> bool:
        return self in {Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}

    @property
    def is_http_or_auto(self) -> bool:
        return self.is_http or self is Protocol.AUTO


_NAMES = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "https": Protocol.HTTPS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "mongo": Protocol.MONGO,
    "mysql": Protocol.MYSQL,
    "redis": Protocol.REDIS,
    "udp": Protocol.UDP,
}
_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
TCP_PORTS = frozenset({25, 53, 3306, 27017})
"""SMTP, DNS, MySQL, MongoDB: their servers may speak first, so nobody waits for the client's bytes."""


def detect(number: int, name: str, app_protocol: str | None, transport: str) -> Protocol:
    """The protocol of a Service port; ``transport`` is the Service's ``TCP`` or ``UDP``."""
    if transport == "UDP":
        return Protocol.UDP
    if app_protocol:
        lowered = app_protocol.lower()
        known = _APP_PROTOCOLS.get(lowered) or _by_name(lowered)
        if known:
            return known
    known = _by_name(name.lower())
    if known:
        return known
    return Protocol.TCP if number in TCP_PORTS else Protocol.AUTO


def of_name(text: str) -> Protocol:
    """A protocol as ServiceEntry, Gateway and Sidecar write it; unknown or empty = AUTO."""
    return _by_name(text.lower()) or Protocol.AUTO


def _by_name(name: str) -> Protocol | None:
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return Protocol.GRPC_WEB
    return _NAMES.get(name.partition("-")[0])
