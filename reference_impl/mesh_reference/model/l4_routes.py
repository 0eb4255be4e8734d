"""The TLS and TCP routes of a VirtualService as typed values, and their reading (T1-T7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_reference.model.hosts import gateway_name, is_server_name, resolve
from mesh_reference.model.http_routes import LARGEST_TOTAL_WEIGHT, Destination, Pairs, WeightedDestination

if TYPE_CHECKING:
    from mesh_reference.model.reading import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class L4Match:
    """One match block: all that is set must hold (T2). ``sni`` is empty for TCP, ``port`` 0 = any."""

    sni: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    port: int = 0
    source_labels: Pairs = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()

    @property
    def runtime(self) -> tuple[frozenset[str], frozenset[str]]:
        """What Envoy itself looks at: of two blocks alike in this the second is never reached (T4)."""
        return frozenset(self.sni), frozenset(self.subnets)


@dataclass(frozen=True, slots=True, kw_only=True)
class L4Route:
    """One block of ``tls`` or ``tcp``; weights divide connections (T5)."""

    matches: tuple[L4Match, ...] = ()
    destinations: tuple[WeightedDestination, ...] = ()


class L4Reader:
    """Reads blocks; knows the namespace that short names belong to."""

    def __init__(self, namespace: str, domain: str) -> None:
        self._namespace, self._domain = namespace, domain

    def tls_route(self, fields: Fields) -> L4Route:
        """T1: every match needs SNI hosts."""
        route = L4Route(matches=tuple(map(self._match, fields.each("match"))), destinations=self._destinations(fields))
        if not route.matches or not all(match.sni for match in route.matches):
            raise fields.invalid("TLS match must have at least one SNI host", "match")
        return route

    def tcp_route(self, fields: Fields) -> L4Route:
        """T3: without a match it is for every connection."""
        for match in fields.each("match"):
            match.unsupported("sourceSubnet", "connections of every source match")
        return L4Route(matches=tuple(map(self._match, fields.each("match"))), destinations=self._destinations(fields))

    def _match(self, fields: Fields) -> L4Match:
        for host in fields.texts("sniHosts"):
            if not is_server_name(host):
                fields.warn("sniHosts", f"{host!r} is left out: Envoy knows whole labels as wildcards only")
        return L4Match(
            sni=tuple(host.lower() for host in fields.texts("sniHosts")),
            subnets=fields.texts("destinationSubnets"),
            port=int(fields.get("port", 0)),
            source_labels=fields.pairs("sourceLabels"),
            source_namespace=fields.get("sourceNamespace", ""),
            gateways=tuple(gateway_name(name, self._namespace) for name in fields.texts("gateways")),
        )

    def _destinations(self, fields: Fields) -> tuple[WeightedDestination, ...]:
        """T7: several weights need a sum, or there would be nobody to go to."""
        found = tuple(self._weighted(item) for item in fields.each("route"))
        total = sum(item.weight for item in found)
        if not found:
            raise fields.invalid("a route is required", "route")
        if len(found) > 1 and not 0 < total <= LARGEST_TOTAL_WEIGHT:
            raise fields.invalid(f"total destination weight = {total}", "route")
        return found

    def _weighted(self, fields: Fields) -> WeightedDestination:
        weight, target = int(fields.get("weight", 0)), fields.fields("destination")
        if weight < 0:
            raise fields.invalid(f"weight {weight} < 0", "weight")
        port = target.fields("port").get("number")
        host = resolve(target.get("host", ""), self._namespace, self._domain)
        if not host:
            raise fields.invalid("a destination needs a host", "destination", "host")
        destination = Destination(host=host, subset=target.get("subset", ""), port=int(port) if port else None)
        return WeightedDestination(destination=destination, weight=weight)
