"""What is known of the mesh, one event at a time: says what each event changes, and takes snapshots. No I/O.

A resource that cannot be read is left out and named in ``problems``: the mesh goes on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.errors import InvalidConfig
from mesh_reference.kube import resources
from mesh_reference.model.destination_rules import read_destination_rule
from mesh_reference.model.endpoints import Endpoint, EndpointSlice, Pod, join, read_pod, read_slice
from mesh_reference.model.peer_authentications import read_peer_authentication
from mesh_reference.model.services import Service, hostname, read_service
from mesh_reference.model.snapshot import Change, Key, MeshSnapshot
from mesh_reference.model.virtual_services import read_virtual_service

if TYPE_CHECKING:
    from mesh_reference.kube.resources import Resource
    from mesh_reference.kube.watching import Event

logger = logging.getLogger(__name__)

Json = dict[str, Any]

WATCHED = (
    resources.SERVICES,
    resources.ENDPOINT_SLICES,
    resources.PODS,
    resources.VIRTUAL_SERVICES,
    resources.DESTINATION_RULES,
    resources.PEER_AUTHENTICATIONS,
)
"""What a snapshot is made from."""
INCREMENTAL = frozenset({"VirtualService", "DestinationRule"})
"""Kinds of which a change is followed to what is made of it; of any other one everything is made anew."""
NOTHING = Change()
EVERYTHING = Change(full=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A resource that is not served, or not wholly. ``object`` is ``Kind namespace/name``."""

    object: str
    text: str
    served: bool


class MeshIndex:
    """The mutable side of the snapshots. Feed it with ``apply``; every event costs only what it touches."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._version = 0
        self._services: dict[str, Service] = {}
        self._slices: dict[str, dict[str, EndpointSlice]] = {}
        self._slice_hosts: dict[Key, str] = {}
        self._pods: dict[str, Pod] = {}
        self._pod_addresses: dict[Key, str] = {}
        self._hosts_at: dict[str, frozenset[str]] = {}
        """Address: hosts of the Services whose slices list it."""
        self._endpoints: dict[str, tuple[Endpoint, ...]] = {}
        self._typed: dict[str, dict[Key, Any]] = {kind: {} for kind in _READERS}
        self.configs: dict[tuple[str, str, str], Json] = {}
        """(kind, namespace, name): Istio's resources as they came."""
        self.problems: dict[tuple[str, str, str], list[Problem]] = {}

    def apply(self, resource: Resource, event: Event) -> Change:
        """Take one event of a watched resource; says what it changed, often nothing."""
        if event.kind == "synced":
            return NOTHING
        key = (event.object["metadata"].get("namespace", ""), event.object["metadata"]["name"])
        obj = event.object if event.kind == "upsert" else None
        if resource == resources.SERVICES:
            return self._take_service(key, obj)
        if resource == resources.ENDPOINT_SLICES:
            return self._take_slice(key, obj)
        if resource == resources.PODS:
            return self._take_pod(key, obj)
        return self._take_config(resource.kind, key, obj)

    def snapshot(self) -> MeshSnapshot:
        """The mesh as it is; later events do not show in it."""
        self._version += 1
        return MeshSnapshot(
            version=self._version,
            services=dict(self._services),
            endpoints=dict(self._endpoints),
            pods=dict(self._pods),
            hosts_at=dict(self._hosts_at),
            virtual_services=dict(self._typed["VirtualService"]),
            destination_rules=dict(self._typed["DestinationRule"]),
            peer_authentications=dict(self._typed["PeerAuthentication"]),
        )

    def _take_service(self, key: Key, obj: Json | None) -> Change:
        host = hostname(key[1], key[0], self._domain)
        before = self._services.pop(host, None)
        if obj is not None:
            self._services[host] = read_service(obj, self._domain)
        after = self._services.get(host)
        if _same_service(before, after):
            return NOTHING
        if any(item is not None and item.external_name for item in (before, after)):
            # An alias changes what other hosts' names mean.
            return EVERYTHING
        here = frozenset(endpoint.address for endpoint in self._endpoints.get(host, ()))
        return Change(services=frozenset({host}), endpoints=frozenset({host}), proxies=here)

    def _take_slice(self, key: Key, obj: Json | None) -> Change:
        read = read_slice(obj) if obj is not None else None
        before = self._slice_hosts.pop(key, None)
        host = hostname(read.service, key[0], self._domain) if read else None
        if before is not None:
            self._slices[before].pop(key[1], None)
        if read is not None and host is not None:
            self._slice_hosts[key] = host
            self._slices.setdefault(host, {})[key[1]] = read
        change = NOTHING
        for touched in {before, host} - {None}:
            change |= self._rejoin(str(touched))
        return change

    def _take_pod(self, key: Key, obj: Json | None) -> Change:
        read = read_pod(obj) if obj is not None else None
        touched: set[str] = set()
        before = self._pod_addresses.pop(key, None)
        old = self._pods.get(before) if before is not None else None
        if before is not None and old is not None and (old.namespace, old.name) == key:
            del self._pods[before]
            touched.add(before)
        if read is not None:
            self._pod_addresses[key] = read.address
            # Host-network pods share the node's address: the first keeps it.
            if read.address not in self._pods or not read.host_network:
                self._pods[read.address] = read
                touched.add(read.address)
        if old == read:
            return NOTHING
        change = Change(proxies=frozenset(touched))
        for host in {host for address in touched for host in self._hosts_at.get(address, ())}:
            change |= self._rejoin(host)
        return change

    def _rejoin(self, host: str) -> Change:
        """Join the Service's slices with its pods again; full when more than addresses depends on the difference."""
        before = self._endpoints.get(host, ())
        after = join(self._slices.get(host, {}).values(), self._pods)
        if not self._slices.get(host):
            self._slices.pop(host, None)
        if before == after:
            return NOTHING
        if after:
            self._endpoints[host] = after
        else:
            self._endpoints.pop(host, None)
        here = {endpoint.address for endpoint in after}
        for gone in {endpoint.address for endpoint in before} - here:
            rest = self._hosts_at[gone] - {host}
            if rest:
                self._hosts_at[gone] = rest
            else:
                del self._hosts_at[gone]
        for address in here:
            self._hosts_at[address] = self._hosts_at.get(address, frozenset()) | {host}
        service = self._services.get(host)
        # A cluster names the identities of its servers; a headless Service's listeners are its endpoints.
        more = _identities(before) != _identities(after) or bool(service and service.headless)
        return Change(
            services=frozenset({host} if more else ()),
            endpoints=frozenset({host}),
            proxies=frozenset(address for address, _ports in _places(before) ^ _places(after)),
        )

    def _take_config(self, kind: str, key: Key, obj: Json | None) -> Change:
        known, name = self._typed[kind], (kind, *key)
        if obj is not None and _same_config(self.configs.get(name), obj):
            return NOTHING
        before = known.pop(key, None)
        self.configs.pop(name, None)
        self.problems.pop(name, None)
        if obj is not None:
            self.configs[name] = obj
            try:
                known[key] = _READERS[kind](obj, self._domain)
            except InvalidConfig as error:
                logger.warning("not served: %s", error)
                self.problems[name] = [Problem(object=f"{kind} {key[0]}/{key[1]}", text=str(error), served=False)]
            else:
                self._note_warnings(name, known[key].warnings)
        if before == known.get(key):
            return NOTHING
        return Change(configs=frozenset({name})) if kind in INCREMENTAL else EVERYTHING

    def _note_warnings(self, name: tuple[str, str, str], warnings: tuple[str, ...]) -> None:
        for warning in warnings:
            logger.warning("not served wholly: %s", warning)
        if warnings:
            subject = f"{name[0]} {name[1]}/{name[2]}"
            self.problems[name] = [Problem(object=subject, text=warning, served=True) for warning in warnings]


_READERS: Mapping[str, Callable[[Json, str], Any]] = {
    "VirtualService": read_virtual_service,
    "DestinationRule": read_destination_rule,
    "PeerAuthentication": lambda obj, _domain: read_peer_authentication(obj),
}


def _same_config(before: Json | None, after: Json) -> bool:
    """Equal but for what a write to status or annotations changes."""
    if before is None or before.get("spec") != after.get("spec"):
        return False
    old, new = before["metadata"], after["metadata"]
    return all(old.get(key) == new.get(key) for key in ("uid", "creationTimestamp"))


def _same_service(before: Service | None, after: Service | None) -> bool:
    """Equal but for the resource version, which a write to status changes, too."""
    if before is None or after is None:
        return before is after
    return (
        before.meta.uid,
        before.ports,
        before.addresses,
        before.headless,
        before.external_name,
        before.export_to,
    ) == (
        after.meta.uid,
        after.ports,
        after.addresses,
        after.headless,
        after.external_name,
        after.export_to,
    )


def _identities(endpoints: tuple[Endpoint, ...]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (endpoint.namespace, endpoint.service_account) for endpoint in endpoints if endpoint.service_account
    )


def _places(endpoints: tuple[Endpoint, ...]) -> frozenset[tuple[str, tuple[tuple[str, int], ...]]]:
    return frozenset((endpoint.address, endpoint.ports) for endpoint in endpoints)
