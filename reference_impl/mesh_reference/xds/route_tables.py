"""One route configuration as a table of virtual hosts, each serialized once: whole, or host by host (VHDS). Pure.

A change makes the next table, in which only the virtual hosts that it concerns are made anew.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.model import hosts
from mesh_reference.xds import host_plans, http_routes, virtual_hosts, wire
from mesh_reference.xds.host_plans import Plans
from mesh_reference.xds.messages import ads_source
from mesh_reference.xds.network_filters import MAX_DIRECT_RESPONSE
from mesh_reference.xds.resources import ROUTE, Encoded, encode, encode_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.snapshot import Key
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.xds.host_plans import HostPlan
    from mesh_reference.xds.listeners_outbound import Unknown
    from mesh_reference.xds.route_matches import Client
    from mesh_reference.xds.scopes import Scope
    from mesh_reference.xds.targets import ClientTargets

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

    def touched(self, known: Mapping[str, object]) -> set[str]:
        """Those of the hosts whose Service or DestinationRule may be another one; linear in ``known`` for wildcards only."""
        if any(pattern.startswith("*") for pattern in self.ruled):
            return {host for host in known if self.rules(host)}
        return {host for host in (*self.services, *self.ruled) if host in known}

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
    plans: Plans
    made: Mapping[str, Encoded]
    differs: frozenset[str] = frozenset()
    """Virtual hosts that are others than in the table that this one succeeds."""
    _whole: Encoded | None = field(default=None, repr=False)

    @classmethod
    def of_port(cls, port: int, place: Place) -> RouteTable:
        """The table ``<port>`` of an HTTP listener."""
        plans = host_plans.plan(place.scope, place.client, port)
        return cls(
            name=str(port),
            port=port,
            plans=plans,
            made=_closed(_built(plans, str(port), place), str(port), plans, place),
        )

    @classmethod
    def of_host(cls, name: str, planned: HostPlan | None, place: Place) -> RouteTable:
        """The table ``<fqdn>:<port>`` of an auto-detected port: a single host for every name."""
        plans = host_plans.alone(planned) if planned else Plans(hosts={})
        port = int(name.rpartition(":")[2])
        return cls(name=name, port=port, plans=plans, made=_closed(_built(plans, name, place), name, plans, place))

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
        plans, renewed = self._replanned(place, dirt)
        now = plans.hosts
        # All that is not looked at stays as it is, which is nearly all: what follows is linear in what differs.
        again = dict.fromkeys(_concerned(dirt, now))
        kept = renewed is not None
        if renewed is None:
            before = self.plans.hosts
            renewed = [name for name, planned in now.items() if not _same(before.get(name), planned)]
        again.update(dict.fromkeys(renewed))
        made = dict(self.made) if kept else {name: encoded for name, encoded in self.made.items() if name in now}
        for name in again:
            old, encoded = self.made.get(name), _build(now[name], self.name, place)
            if encoded is None:
                made.pop(name, None)
            else:
                made[name] = old if old is not None and old.version == encoded.version else encoded
        if not kept or made.keys() - self.made.keys():
            made = {name: made[name] for name in sorted(made.keys() & now.keys())}
            made = _closed(made, self.name, plans, place, self.made)
        looked_at: Iterable[str] = again if kept else self.made.keys() | made.keys()
        differs = frozenset(name for name in looked_at if made.get(name) is not self.made.get(name))
        if differs:
            return RouteTable(name=self.name, port=self.port, plans=plans, made=made, differs=differs)
        return self if plans is self.plans else replace(self, plans=plans, differs=differs)

    def _replanned(self, place: Place, dirt: Dirt) -> tuple[Plans, list[str] | None]:
        """The next plans, and where the hosts are the same ones the names of those with new routes."""
        if dirt.services and not dirt.routed:
            found = self.plans.following(place.scope, self.port, dirt.services)
            if found is not None:
                return found, None
        left_alike = all(
            old is not None
            and new is not None
            and http_routes.any_for(old, place.client, self.port) == http_routes.any_for(new, place.client, self.port)
            for _key, old, new in dirt.routed
        )
        if not dirt.in_place or not left_alike:
            return host_plans.plan(place.scope, place.client, self.port), None
        planned_by, renewed = dict(self.plans.hosts), []
        for _key, old, new in dirt.routed:
            names = [name for name, planned in self.plans.hosts.items() if planned.virtual_service is old]
            planned_by.update((name, host_plans.owned_by(planned_by[name], new)) for name in names)
            renewed += names
        return replace(self.plans, hosts=planned_by) if renewed else self.plans, renewed


@lru_cache(maxsize=1024)
def split(name: str) -> Encoded:
    """The RouteConfiguration whose hosts come one by one: nothing in it ever changes, so that it is made once."""
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
    made: dict[str, Encoded], table: str, plans: Plans, place: Place, before: Mapping[str, Encoded] | None = None
) -> dict[str, Encoded]:
    """With the catch-all, unless a host takes every name."""
    if "*" in plans.taken:
        return made
    host = virtual_hosts.catch_all(place.unknown)
    kept = (before or {}).get(host.name)
    made[host.name] = kept if kept is not None else encode(f"{table}/{host.name}", host)
    return made


def _built(plans: Plans, table: str, place: Place) -> dict[str, Encoded]:
    return {name: encoded for name, one in plans.hosts.items() if (encoded := _build(one, table, place)) is not None}


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


def _concerned(dirt: Dirt, plans: Mapping[str, HostPlan]) -> list[str]:
    """Hosts in whose routes a changed DestinationRule can show (D3)."""
    if not dirt.ruled and not dirt.services:
        return []
    if dirt.ruled:
        return [
            name
            for name, planned in plans.items()
            if any(
                map(dirt.rules, planned.virtual_service.destinations if planned.virtual_service else (planned.host,))
            )
        ]
    return [
        name
        for name, planned in plans.items()
        if (
            planned.host in dirt.services
            if planned.virtual_service is None
            else not dirt.services.isdisjoint(planned.virtual_service.destinations)
        )
    ]
