"""One route configuration as a table of virtual hosts, each serialized once: whole, or host by host (VHDS). Pure.

A change makes the next table, in which only the virtual hosts that it concerns are made anew.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.model import hosts
from mesh_reference.xds import http_routes, virtual_hosts, wire
from mesh_reference.xds.messages import ads_source
from mesh_reference.xds.network_filters import MAX_DIRECT_RESPONSE
from mesh_reference.xds.resources import ROUTE, Encoded, encode, encode_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.snapshot import Key
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.xds.listeners_outbound import Unknown
    from mesh_reference.xds.route_matches import Client
    from mesh_reference.xds.scopes import Scope
    from mesh_reference.xds.targets import ClientTargets
    from mesh_reference.xds.virtual_hosts import HostPlan

logger = logging.getLogger(__name__)

BUILD_ERRORS = (ValueError, TypeError, OverflowError)
"""What protobuf raises for a value that the field cannot hold."""
_HOSTS_FIELD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirt:
    """What a change concerns, as far as routes depend on it: VirtualServices before and after, hosts of DestinationRules."""

    services: frozenset[str] = frozenset()
    routed: tuple[tuple[Key, VirtualService | None, VirtualService | None], ...] = ()
    ruled: tuple[str, ...] = ()

    def rules(self, host: str) -> bool:
        """May the host's DestinationRule be another one?"""
        return host in self.services or any(hosts.matches(pattern, host) for pattern in self.ruled)

    @property
    def in_place(self) -> bool:
        """Do all hosts keep their owners, whatever their routes are?"""
        kept = all(old is not None and new is not None and new.takes_as(old) for _key, old, new in self.routed)
        return kept and not self.services


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """For whom routes are made."""

    scope: Scope
    client: Client
    targets: ClientTargets
    unknown: Unknown


@dataclass(slots=True, kw_only=True, eq=False)
class RouteTable:
    """The route configuration ``name``. ``made`` is by virtual host, in the order of their names, the catch-all last."""

    name: str
    port: int
    plans: Mapping[str, HostPlan]
    made: Mapping[str, Encoded]
    _whole: Encoded | None = field(default=None, repr=False)

    @classmethod
    def of_port(cls, port: int, place: Place) -> RouteTable:
        """The table ``<port>`` of an HTTP listener."""
        plans = {planned.name: planned for planned in virtual_hosts.plan(place.scope, place.client, port)}
        made = {name: encoded for name, planned in plans.items() if (encoded := _build(planned, str(port), place))}
        return cls(name=str(port), port=port, plans=plans, made=_closed(made, str(port), plans.values(), place))

    @classmethod
    def of_host(cls, name: str, planned: HostPlan | None, place: Place) -> RouteTable:
        """The table ``<fqdn>:<port>`` of an auto-detected port: a single host for every name."""
        plans = {planned.name: virtual_hosts.alone(planned)} if planned else {}
        made = {key: encoded for key, one in plans.items() if (encoded := _build(one, name, place))}
        port = int(name.rpartition(":")[2])
        return cls(name=name, port=port, plans=plans, made=_closed(made, name, plans.values(), place))

    @property
    def whole(self) -> Encoded:
        """The RouteConfiguration with every virtual host in it."""
        if self._whole is None:
            head = _head(self.name).SerializeToString(deterministic=True)
            parts = [head, *(wire.piece(_HOSTS_FIELD, encoded.value) for encoded in self.made.values())]
            self._whole = encode_bytes(self.name, ROUTE, b"".join(parts))
        return self._whole

    def successor(self, place: Place, dirt: Dirt) -> RouteTable:
        """The same table after a change; this very one when nothing in it differs. Not for tables of one host."""
        plans = self._replanned(place, dirt)
        made: dict[str, Encoded] = {}
        for name, planned in plans.items():
            old = self.made.get(name)
            if old is not None and _same(self.plans.get(name), planned) and not _concerns(dirt, planned):
                made[name] = old
            elif (encoded := _build(planned, self.name, place)) is not None:
                made[name] = old if old is not None and old.version == encoded.version else encoded
        closed = _closed(made, self.name, plans.values(), place, self.made)
        if closed.keys() == self.made.keys() and all(closed[name] is self.made[name] for name in closed):
            return self if plans is self.plans else RouteTable(
                name=self.name, port=self.port, plans=plans, made=self.made, _whole=self._whole
            )  # fmt: skip
        return RouteTable(name=self.name, port=self.port, plans=plans, made=closed)

    def _replanned(self, place: Place, dirt: Dirt) -> Mapping[str, HostPlan]:
        left_alike = all(
            old is not None
            and new is not None
            and http_routes.any_for(old, place.client, self.port) == http_routes.any_for(new, place.client, self.port)
            for _key, old, new in dirt.routed
        )
        if not dirt.in_place or not left_alike:
            return {planned.name: planned for planned in virtual_hosts.plan(place.scope, place.client, self.port)}
        renewed = {id(old): new for _key, old, new in dirt.routed}
        plans = dict(self.plans)
        for name, planned in self.plans.items():
            if id(planned.virtual_service) in renewed:
                plans[name] = virtual_hosts.owned_by(planned, renewed[id(planned.virtual_service)])
        return plans


def split(name: str) -> Encoded:
    """The RouteConfiguration whose hosts come one by one: nothing in it ever changes."""
    out = _head(name)
    out.vhds.config_source.CopyFrom(ads_source())
    return encode(name, out)


def tombstone(resource: str) -> Encoded:
    """What takes the place of a virtual host that is gone: its name, and a domain that nobody asks for.

    Envoy takes a removal only by the virtual host's own name, which is not the resource's.
    """
    name = resource.partition("/")[2]
    domain = f"{name.replace(':', '.').replace('*', 'any')}.removed.invalid"
    return encode(resource, route_components_pb2.VirtualHost(name=name, domains=[domain]))


def _head(name: str) -> route_pb2.RouteConfiguration:
    return route_pb2.RouteConfiguration(
        name=name,
        validate_clusters=wrappers_pb2.BoolValue(value=False),
        ignore_port_in_host_matching=True,
        max_direct_response_body_size_bytes=wrappers_pb2.UInt32Value(value=MAX_DIRECT_RESPONSE),
    )


def _closed(
    made: dict[str, Encoded],
    table: str,
    plans: Iterable[HostPlan],
    place: Place,
    before: Mapping[str, Encoded] | None = None,
) -> dict[str, Encoded]:
    """With the catch-all, unless a host takes every name."""
    if any("*" in planned.domains for planned in plans):
        return made
    host = virtual_hosts.catch_all(place.unknown)
    kept = (before or {}).get(host.name)
    made[host.name] = kept if kept is not None else encode(f"{table}/{host.name}", host)
    return made


def _build(planned: HostPlan, table: str, place: Place) -> Encoded | None:
    try:
        return encode(f"{table}/{planned.name}", virtual_hosts.build(planned, place.client, place.targets))
    except BUILD_ERRORS as error:
        logger.error("virtual host %s is left out: %s", planned.name, error)  # noqa: TRY400  the text says it
        return None


def _same(old: HostPlan | None, new: HostPlan) -> bool:
    """Made of the same: of the Service only its name matters."""
    if old is None:
        return False
    return old is new or (old.virtual_service is new.virtual_service and old.domains == new.domains)


def _concerns(dirt: Dirt, planned: HostPlan) -> bool:
    """Can a changed DestinationRule show in the host's routes (D3)?"""
    if not dirt.ruled and not dirt.services:
        return False
    if planned.virtual_service is None:
        return dirt.rules(planned.host)
    if not dirt.ruled:
        return not dirt.services.isdisjoint(planned.virtual_service.destinations)
    return any(dirt.rules(host) for host in planned.virtual_service.destinations)
