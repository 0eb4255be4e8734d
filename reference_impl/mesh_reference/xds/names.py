"""Istio's names on the wire (§1.0): clusters, listeners, filter chains, SNI. Nothing but text."""

from __future__ import annotations

from functools import lru_cache

BLACK_HOLE = "BlackHoleCluster"
PASSTHROUGH = "PassthroughCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
ALLOW_ANY = "allow_any"
BLOCK_ALL = "block_all"
DEFAULT_ROUTE = "default"

VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
OUTBOUND_CATCH_ALL_TCP = "virtualOutbound-catchall-tcp"
OUTBOUND_BLACK_HOLE = "virtualOutbound-blackhole"
INBOUND_CATCH_ALL_HTTP = "virtualInbound-catchall-http"
INBOUND_BLACK_HOLE = "virtualInbound-blackhole"
PASSTHROUGH_CHAIN = "PassthroughFilterChain"

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
WILDCARD = "0.0.0.0"
INBOUND_SOURCE = "127.0.0.6"
"""The address that the sidecar calls the application from; iptables lets it pass."""

SDS_CLUSTER = "sds-grpc"
"""In the proxy's bootstrap: its agent's secrets."""
WORKLOAD_SECRET = "default"  # noqa: S105  a resource name
ROOT_SECRET = "ROOTCA"  # noqa: S105  a resource name


def outbound_cluster(host: str, port: int, subset: str = "") -> str:
    """``outbound|80|v1|svc.ns.svc.cluster.local``."""
    return f"outbound|{port}|{subset}|{host}"


@lru_cache(maxsize=16_384)
def parse_outbound_cluster(name: str) -> tuple[str, int, str] | None:
    """(host, port, subset) of an outbound cluster's name; None for any other name."""
    parts = name.split("|")
    if len(parts) != 4 or parts[0] != "outbound" or not parts[1].isdigit():
        return None
    return parts[3], int(parts[1]), parts[2]


def inbound_cluster(target_port: int) -> str:
    """``inbound|8080||``: the port is the one the application listens on."""
    return f"inbound|{target_port}||"


def sni(host: str, port: int, subset: str = "") -> str:
    """``outbound_.80_.v1_.svc.ns.svc.cluster.local``."""
    return f"outbound_.{port}_.{subset}_.{host}"


def listener(address: str, port: int) -> str:
    """``0.0.0.0_80`` or ``10.96.0.7_3306``."""
    return f"{address}_{port}"


def virtual_host(host: str, port: int) -> str:
    """``svc.ns.svc.cluster.local:80``."""
    return f"{host}:{port}"


def operation(host: str, port: int, path: str = "/*") -> str:
    """What the access log and traces call a request: ``svc.ns.svc.cluster.local:80/*``."""
    return f"{host}:{port}{path}"


def spiffe_id(trust_domain: str, namespace: str, service_account: str) -> str:
    """The identity of a service account."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"
