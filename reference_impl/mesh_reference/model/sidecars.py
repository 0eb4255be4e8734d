"""Sidecar as a typed value, its reading, and which of several applies to a workload (S5-S9).

What a Sidecar makes of the mesh's Services is decided in ``xds.scopes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.model import hosts
from mesh_reference.model.hosts import resolve
from mesh_reference.model.http_routes import Destination
from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.protocols import Protocol, of_name
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.sidecar import SIDECAR
from mesh_reference.model.traffic_policies import ConnectionPool, read_pool
from mesh_reference.settings import OutboundPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.reading import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class HostImport:
    """``namespace/host`` of an egress listener (S6). ``namespace`` ``*`` = any; ``excluded``: written ``~namespace/host``."""

    namespace: str
    host: str
    excluded: bool = False

    def covers(self, namespace: str, host: str) -> bool:
        return self.namespace in {"*", namespace} and hosts.matches(self.host, host)

    def meets(self, namespace: str, host: str) -> bool:
        """The same for a VirtualService's host, which may itself be wider."""
        return self.covers(namespace, host) or (self.namespace in {"*", namespace} and hosts.matches(host, self.host))


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """What is known on one port, or, with ``port`` 0, on every port that no other egress listener names."""

    imports: tuple[HostImport, ...]
    port: int = 0

    def knows(self, namespace: str, host: str) -> bool:
        if any(item.excluded and item.covers(namespace, host) for item in self.imports):
            return False
        return any(not item.excluded and item.covers(namespace, host) for item in self.imports)

    def routes(self, namespace: str, host: str) -> bool:
        """May a VirtualService of that namespace route the host here?"""
        return any(not item.excluded and item.meets(namespace, host) for item in self.imports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """An inbound port and where the application listens: (address, port), a socket's path, or None = the same port (S7).

    The address 0.0.0.0 means the workload's own.
    """

    port: int
    protocol: Protocol
    endpoint: tuple[str, int] | None = None
    socket: str = ""
    pool: ConnectionPool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """One Sidecar. Without ``egress`` everything that is exported is known."""

    meta: Metadata
    selector: tuple[tuple[str, str], ...] = ()
    ingress: tuple[Ingress, ...] = ()
    egress: tuple[Egress, ...] = ()
    pool: ConnectionPool | None = None
    outbound_policy: OutboundPolicy | None = None
    egress_proxy: Destination | None = None
    warnings: tuple[str, ...] = ()

    def pool_of(self, port: int) -> ConnectionPool | None:
        """S9: the ingress listener's own, else the Sidecar's."""
        return next((item.pool for item in self.ingress if item.port == port and item.pool), self.pool)


def choose(
    sidecars: Iterable[Sidecar], namespace: str, labels: Mapping[str, str], root_namespace: str
) -> Sidecar | None:
    """S5: the oldest that selects the workload, else the oldest of its namespace, else the root namespace's."""
    ranked = []
    for item in sidecars:
        if item.meta.namespace == namespace and item.selector:
            if all(labels.get(key) == value for key, value in item.selector):
                ranked.append((0, item.meta.age_key, item))
        elif item.meta.namespace == namespace:
            ranked.append((1, item.meta.age_key, item))
        elif item.meta.namespace == root_namespace and not item.selector:
            ranked.append((2, item.meta.age_key, item))
    return min(ranked, key=lambda entry: entry[:2], default=(0, (), None))[2]


def read_sidecar(obj: Mapping[str, Any], domain: str) -> Sidecar:
    """Read the resource. Raises InvalidConfig when it cannot be served."""
    meta = read_metadata(obj)
    spec, origin = open_spec(obj, SIDECAR)
    policy = spec.fields("outboundTrafficPolicy")
    proxy = policy.optional("egressProxy")
    port = proxy.fields("port").get("number") if proxy else None
    mode = policy.get("mode")
    if "outboundTrafficPolicy" in spec and not mode:
        mode = "REGISTRY_ONLY"  # the API's zero value
    return Sidecar(
        meta=meta,
        selector=spec.fields("workloadSelector").pairs("labels"),
        ingress=tuple(_ingress(item) for item in spec.each("ingress")),
        egress=tuple(_egress(item, meta.namespace) for item in spec.each("egress")),
        pool=read_pool(spec.optional("inboundConnectionPool")),
        outbound_policy=OutboundPolicy(mode) if mode else None,
        egress_proxy=Destination(
            host=resolve(proxy.get("host", ""), meta.namespace, domain),
            subset=proxy.get("subset", ""),
            port=int(port) if port else None,
        )
        if proxy
        else None,
        warnings=tuple(origin.warnings),
    )


def _egress(fields: Fields, namespace: str) -> Egress:
    if fields.get("captureMode") == "NONE":
        fields.unsupported("captureMode", "connections are captured")
    fields.unsupported("bind", "the listener is that of the Services' addresses")
    imports = []
    for text in fields.texts("hosts"):
        own, slash, host = text.partition("/")
        if not slash:
            raise fields.invalid(f"{text!r}: want namespace/host", "hosts")
        if own == "~":
            continue
        excluded = own.startswith("~")
        own = own.removeprefix("~")
        imports.append(HostImport(namespace=namespace if own == "." else own, host=host.lower(), excluded=excluded))
    return Egress(imports=tuple(imports), port=int(fields.fields("port").get("number", 0)))


def _ingress(fields: Fields) -> Ingress:
    if fields.get("captureMode") == "NONE":
        fields.unsupported("captureMode", "connections are captured")
    fields.unsupported("bind", "connections to every address of the workload are taken")
    fields.unsupported("tls", "the port keeps to PeerAuthentication")
    endpoint, where, socket = fields.get("defaultEndpoint", ""), None, ""
    if endpoint.startswith("unix://"):
        socket = endpoint.removeprefix("unix://")
    elif endpoint:
        address, _colon, number = endpoint.rpartition(":")
        if not number.isdigit():
            raise fields.invalid(f"{endpoint!r}: want <host>:<port>", "defaultEndpoint")
        where = (address.strip("[]") or "127.0.0.1", int(number))
    port = fields.fields("port")
    return Ingress(
        port=int(port.get("number", 0)),
        protocol=of_name(port.get("protocol", "")),
        endpoint=where,
        socket=socket,
        pool=read_pool(fields.optional("connectionPool")),
    )
