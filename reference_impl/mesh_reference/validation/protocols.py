"""The protocols that a port of a ServiceEntry, Sidecar or Gateway may name (any case), and their families.

Not those of Kubernetes Services, which `model.protocols` reads from port names.
"""

from __future__ import annotations

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import is_dns_label

HTTP = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
TLS = frozenset({"https", "tls"})
_OTHER = frozenset({"tcp", "udp", "mongo", "redis", "mysql"})
DYNAMIC = frozenset({"http", "http2", "grpc", "tls"})
"""Those that a dynamic forward proxy can carry."""


def is_known(protocol: str) -> bool:
    """Whether the mesh has a protocol of that name."""
    return protocol.lower() in HTTP | TLS | _OTHER


def is_http(protocol: str) -> bool:
    """Carried as requests that the proxy reads."""
    return protocol.lower() in HTTP


def is_tls(protocol: str) -> bool:
    """Carried over TLS."""
    return protocol.lower() in TLS


def is_tcp(protocol: str) -> bool:
    """Carried as a stream of bytes, TLS among them."""
    return protocol.lower() in TLS | (_OTHER - {"udp"})


def check_port_name(out: Findings, path: Path, name: str, rule: str) -> None:
    """A DNS label."""
    if not is_dns_label(name):
        out.error(path, rule, f"invalid port name: {name}")


def check_protocol(out: Findings, path: Path, protocol: str, rule: str) -> None:
    """A known protocol, or none: then the proxy looks at the first bytes."""
    if protocol and not is_known(protocol):
        out.error(path, rule, f"unsupported protocol: {protocol}")
