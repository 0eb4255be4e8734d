"""VirtualService as a typed value, the reading of one, and the joining of roots with their delegates (R19).

Its routes are the business of ``model.http_routes`` and ``model.l4_routes``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mesh_reference.model.hosts import MESH, gateway_name, resolve
from mesh_reference.model.http_routes import HttpReader, HttpRoute
from mesh_reference.model.l4_routes import L4Reader, L4Route
from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.virtual_service import VIRTUAL_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService:
    """One VirtualService. ``gateways`` always has a value (B1); ``warnings`` name fields without effect here."""

    meta: Metadata
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    http: tuple[HttpRoute, ...]
    tls: tuple[L4Route, ...] = ()
    tcp: tuple[L4Route, ...] = ()
    export_to: frozenset[str] = frozenset()
    label_keys: frozenset[str] = frozenset()
    """Keys of the source labels that its matches look at (M12)."""
    destinations: frozenset[str] = frozenset()
    """Every host to which it may send requests or copies."""
    destination_ports: frozenset[tuple[str, int]] = frozenset()
    """The same with the port that is named of each (0 = none is)."""
    warnings: tuple[str, ...] = ()

    def takes_as(self, other: VirtualService) -> bool:
        """Does it take the same hosts, of the same clients and in the same order, as ``other`` did?"""
        return (self.hosts, self.gateways, self.export_to, self.meta.age_key) == (
            other.hosts,
            other.gateways,
            other.export_to,
            other.meta.age_key,
        )

    @property
    def is_delegate(self) -> bool:
        """Without hosts it takes none itself: its routes are for roots (R19)."""
        return not self.hosts


def read_virtual_service(obj: Mapping[str, Any], domain: str) -> VirtualService:
    """Read the resource. Raises InvalidConfig when it cannot be served at all."""
    meta = read_metadata(obj)
    spec, origin = open_spec(obj, VIRTUAL_SERVICE)
    http, l4 = HttpReader(meta.namespace, domain), L4Reader(meta.namespace, domain)
    return of_routes(
        VirtualService(
            meta=meta,
            hosts=tuple(resolve(host, meta.namespace, domain) for host in spec.texts("hosts")),
            gateways=tuple(gateway_name(name, meta.namespace) for name in spec.texts("gateways")) or (MESH,),
            http=tuple(map(http.route, spec.each("http"))),
            tls=tuple(map(l4.tls_route, spec.each("tls"))),
            tcp=tuple(map(l4.tcp_route, spec.each("tcp"))),
            export_to=frozenset(spec.texts("exportTo")),
            warnings=tuple(origin.warnings),
        )
    )


def of_routes(service: VirtualService) -> VirtualService:
    """The same with what follows from its routes: label keys and destinations."""
    routes: tuple[HttpRoute | L4Route, ...] = (*service.http, *service.tls, *service.tcp)
    matches = [match for route in routes for match in route.matches]
    named = [branch.destination for route in routes for branch in route.destinations]
    named += [mirror.destination for route in service.http for mirror in route.mirrors]
    return replace(
        service,
        label_keys=frozenset(key for match in matches for key, _value in match.source_labels),
        destinations=frozenset(one.host for one in named),
        destination_ports=frozenset((one.host, one.port or 0) for one in named),
    )
