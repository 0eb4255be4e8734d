"""What is known of the mesh, one event at a time: says what each event changes, and takes snapshots. No I/O.

A resource that cannot be read is left out and named in ``problems``: the mesh goes on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mesh_reference.errors import InvalidConfig
from mesh_reference.kube import resources
from mesh_reference.model import delegates
from mesh_reference.model.authorization_policies import read_authorization_policy
from mesh_reference.model.destination_rules import read_destination_rule
from mesh_reference.model.endpoints import (
    Endpoint,
    EndpointSlice,
    Locality,
    join,
    read_node_locality,
    read_pod,
    read_slice,
)
from mesh_reference.model.gateways import read_gateway
from mesh_reference.model.peer_authentications import read_peer_authentication
from mesh_reference.model.service_entries import (
    ServiceEntry,
    WorkloadEntry,
    endpoints_of,
    read_service_entry,
    read_workload_entry,
)
from mesh_reference.model.services import Resolution, Service, hostname, read_service
from mesh_reference.model.sidecars import read_sidecar
from mesh_reference.model.snapshot import Change, Key, MeshSnapshot
from mesh_reference.model.virtual_services import VirtualService, read_virtual_service
from mesh_reference.store.addresses import AddressPool
from mesh_reference.store.pods import KnownPods
from mesh_reference.store.subsets import KnownSubsets

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
    resources.AUTHORIZATION_POLICIES,
    resources.SERVICE_ENTRIES,
    resources.WORKLOAD_ENTRIES,
    resources.SIDECARS,
    resources.GATEWAYS,
    resources.NODES,
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
        self._kube_services: dict[str, Service] = {}
        self._entries_for: dict[str, set[Key]] = {}
        """Host: ServiceEntries that name it."""
        self._services: dict[str, Service] = {}
        """By host: Kubernetes' own, else the oldest ServiceEntry's."""
        self._nodes: dict[str, Locality] = {}
        self.kubelets: dict[str, str] = {}
        """Version by node; what a pod may be made of depends on it."""
        self._slices: dict[str, dict[str, EndpointSlice]] = {}
        self._slice_hosts: dict[Key, str] = {}
        self._pods = KnownPods()
        self._hosts_at: dict[str, frozenset[str]] = {}
        """Address: hosts of the Services whose slices list it."""
        self._endpoints: dict[str, tuple[Endpoint, ...]] = {}
        self._typed: dict[str, dict[Key, Any]] = {kind: {} for kind in _READERS}
        self._virtual_services: dict[Key, VirtualService] = {}
        """Roots joined with their delegates, and those that are neither."""
        self._subsets = KnownSubsets()
        self._addresses = AddressPool()
        self._roots_of: dict[Key, set[Key]] = {}
        """Delegate, there or not: the roots that refer to it."""
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
        if resource == resources.NODES:
            return self._take_node(key[1], obj)
        return self._take_config(resource.kind, key, obj)

    def snapshot(self) -> MeshSnapshot:
        """The mesh as it is; later events do not show in it."""
        self._version += 1
        return MeshSnapshot(
            version=self._version,
            services=dict(self._services),
            endpoints=dict(self._endpoints),
            pods=dict(self._pods.by_address),
            hosts_at=dict(self._hosts_at),
            virtual_services=dict(self._virtual_services),
            destination_rules=dict(self._typed["DestinationRule"]),
            peer_authentications=dict(self._typed["PeerAuthentication"]),
            authorization_policies=dict(self._typed["AuthorizationPolicy"]),
            sidecars=dict(self._typed["Sidecar"]),
            gateways=dict(self._typed["Gateway"]),
            nodes=dict(self._nodes),
        )

    def _take_service(self, key: Key, obj: Json | None) -> Change:
        host = hostname(key[1], key[0], self._domain)
        if obj is not None:
            self._kube_services[host] = read_service(obj, self._domain)
        else:
            self._kube_services.pop(host, None)
        return self._settle_service(host)

    def _settle_service(self, host: str) -> Change:
        """Whose host it is after a change, and what differs by that."""
        before = self._services.pop(host, None)
        named = self._kube_services.get(host) or next((service for _entry, service in self._entries(host)), None)
        after = self._addresses.settle(host, named)
        if after is not None:
            self._services[host] = after
        if _same_service(before, after):
            return self._rejoin(host)
        if any(item is not None and item.external_name for item in (before, after)):
            # An alias changes what other hosts' names mean.
            return EVERYTHING | self._rejoin(host)
        here = {endpoint.address for endpoint in self._endpoints.get(host, ())}
        change = self._rejoin(host)
        here |= {endpoint.address for endpoint in self._endpoints.get(host, ())}
        return change | Change(services=frozenset({host}), endpoints=frozenset({host}), proxies=frozenset(here))

    def _entries(self, host: str) -> list[tuple[ServiceEntry, Service]]:
        """The ServiceEntries of the host, the oldest first."""
        entries: dict[Key, ServiceEntry] = self._typed["ServiceEntry"]
        found = sorted((entries[key] for key in self._entries_for.get(host, ())), key=lambda item: item.meta.age_key)
        return [(entry, next(one for one in entry.services if one.hostname == host)) for entry in found]

    def _take_node(self, name: str, obj: Json | None) -> Change:
        before = self._nodes.pop(name, None)
        self.kubelets.pop(name, None)
        if obj is not None:
            self._nodes[name] = read_node_locality(obj)
            self.kubelets[name] = str(((obj.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")
        if before == self._nodes.get(name):
            return NOTHING
        change = NOTHING
        here = {pod.address for pod in self._pods.by_address.values() if pod.node == name}
        for host in {host for address in here for host in self._hosts_at.get(address, ())}:
            change |= self._rejoin(host)
        return change | Change(proxies=frozenset(here))

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
        touched, pods = self._pods.take(key, read_pod(obj) if obj is not None else None)
        if not pods:
            return NOTHING
        change = Change(proxies=frozenset(touched))
        concerned = {host for address in touched for host in self._hosts_at.get(address, ())}
        for pod in pods:
            concerned |= self._selecting(pod.namespace, pod.labels)
        for host in concerned:
            change |= self._rejoin(host)
        return change

    def _selecting(self, namespace: str, labels: Mapping[str, str]) -> set[str]:
        """Hosts of the ServiceEntries that select such a workload (S2)."""
        entries: Iterable[ServiceEntry] = self._typed["ServiceEntry"].values()
        return {service.hostname for entry in entries if entry.selects(namespace, labels) for service in entry.services}

    def _found_endpoints(self, host: str) -> tuple[Endpoint, ...]:
        """Kubernetes' slices; of a host that is a ServiceEntry's, its endpoints and the workloads it selects."""
        if host in self._kube_services or host not in self._entries_for:
            return join(self._slices.get(host, {}).values(), self._pods.by_address, self._nodes)
        entry = self._entries(host)[0][0]
        pods = self._pods.by_address.values() if entry.selector else ()
        return endpoints_of(entry, host, pods, self._typed["WorkloadEntry"].values(), self._nodes)

    def _rejoin(self, host: str) -> Change:
        """Join the Service's slices with its pods again; full when more than addresses depends on the difference."""
        before = self._endpoints.get(host, ())
        after = self._found_endpoints(host)
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
        told_in_cluster = service is not None and (service.headless or service.resolution is not Resolution.ENDPOINTS)
        more = _identities(before) != _identities(after) or told_in_cluster
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
        if kind == "DestinationRule":
            self._subsets.note(before, known.get(key))
        if kind == "ServiceEntry":
            return self._place_entry(key, before, known.get(key))
        if kind == "WorkloadEntry":
            return self._place_workload(before, known.get(key))
        if kind == "VirtualService":
            return self._join_virtual_services(key, before, known.get(key))
        return Change(configs=frozenset({name})) if kind in INCREMENTAL else EVERYTHING

    def refers_to_nothing(self, change: Change) -> bool:
        """Does a changed VirtualService route to a subset that no DestinationRule has?

        The two come by separate watches: what was written first may be seen last.
        """
        found = (self._virtual_services.get(key) for key in change.keys("VirtualService"))
        return any(item is not None and self._subsets.lacks(item) for item in found)

    def _place_entry(self, key: Key, before: ServiceEntry | None, after: ServiceEntry | None) -> Change:
        touched: set[str] = set()
        for service in before.services if before else ():
            self._entries_for[service.hostname].discard(key)
            if not self._entries_for[service.hostname]:
                del self._entries_for[service.hostname]
            touched.add(service.hostname)
        for service in after.services if after else ():
            self._entries_for.setdefault(service.hostname, set()).add(key)
            touched.add(service.hostname)
        change = NOTHING
        for host in sorted(touched):
            change |= self._settle_service(host)
        return change

    def _place_workload(self, before: WorkloadEntry | None, after: WorkloadEntry | None) -> Change:
        change = NOTHING
        concerned: set[str] = set()
        for item in (before, after):
            if item is not None:
                concerned |= self._selecting(item.meta.namespace, dict(item.endpoint.labels))
        for host in sorted(concerned):
            change |= self._rejoin(host)
        return change

    def _join_virtual_services(self, key: Key, before: VirtualService | None, after: VirtualService | None) -> Change:
        """A delegate changes the roots that refer to it, and is none of its own (R19)."""
        for old in delegates.delegates_of(before) if before else ():
            self._roots_of[old].discard(key)
            if not self._roots_of[old]:
                del self._roots_of[old]
        for new in delegates.delegates_of(after) if after else ():
            self._roots_of.setdefault(new, set()).add(key)
        known: dict[Key, VirtualService] = self._typed["VirtualService"]
        changed = {key, *self._roots_of.get(key, ())}
        for one in changed:
            found = known.get(one)
            if found is None or found.is_delegate:
                self._virtual_services.pop(one, None)
            elif delegates.delegates_of(found):
                joined = delegates.join(found, known)
                self._virtual_services[one] = joined
                self.problems.pop(("VirtualService", *one), None)
                self._note_warnings(("VirtualService", *one), joined.warnings)
            else:
                self._virtual_services[one] = found
        return Change(configs=frozenset(("VirtualService", *one) for one in changed))

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
    "AuthorizationPolicy": lambda obj, _domain: read_authorization_policy(obj),
    "ServiceEntry": lambda obj, _domain: read_service_entry(obj),
    "WorkloadEntry": lambda obj, _domain: read_workload_entry(obj),
    "Sidecar": read_sidecar,
    "Gateway": lambda obj, _domain: read_gateway(obj),
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
    return before.meta.uid == after.meta.uid and replace(before, meta=after.meta) == after


def _identities(endpoints: tuple[Endpoint, ...]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (endpoint.namespace, endpoint.service_account) for endpoint in endpoints if endpoint.service_account
    )


def _places(endpoints: tuple[Endpoint, ...]) -> frozenset[tuple[str, tuple[tuple[str, int], ...]]]:
    return frozenset((endpoint.address, endpoint.ports) for endpoint in endpoints)
