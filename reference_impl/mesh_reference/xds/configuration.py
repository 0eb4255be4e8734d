"""All that proxies are told of one snapshot: the shared views, and each proxy's own inbound side. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_reference.model import hosts
from mesh_reference.model.destination_rules import DestinationRule
from mesh_reference.model.endpoints import Locality, locality_of
from mesh_reference.model.services import Service
from mesh_reference.model.sidecars import Sidecar, choose
from mesh_reference.model.virtual_services import VirtualService
from mesh_reference.xds import inbound_sides
from mesh_reference.xds.gateway_views import GatewayView
from mesh_reference.xds.inbound_sides import Inbound
from mesh_reference.xds.localities import EVERYWHERE, Where
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, NAME_TABLE, NAMELESS, ROUTE, VIRTUAL_HOST, Encoded
from mesh_reference.xds.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.snapshot import Change, MeshSnapshot
    from mesh_reference.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewKey:
    """What a view is made for. ``sidecar`` is (namespace, name)."""

    namespace: str
    where: Where
    sidecar: tuple[str, str] | None = None
    gateway: tuple[tuple[tuple[str, str], ...], tuple[tuple[int, int], ...]] | None = None
    """Of a gateway: the pod's labels, and where it listens for each port of its Services."""
    answers_names: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """Label keys, and whether it matters where a proxy is."""

    labels: frozenset[str]
    locality: bool


class Configuration:
    """What is served at one moment."""

    def __init__(self, snapshot: MeshSnapshot, settings: Settings) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self._views: dict[ViewKey, View] = {}
        self._inbound: dict[tuple[str, str], Inbound] = {}
        self._keys: dict[tuple[str, str, str], ViewKey] = {}
        self._relevance = _relevance(snapshot)

    @property
    def version(self) -> str:
        """The snapshot's version, as responses carry it."""
        return str(self.snapshot.version)

    def succeeded_by(self, snapshot: MeshSnapshot, settings: Settings, change: Change) -> Configuration:
        """The configuration of the next snapshot, which keeps whatever ``change`` leaves as it is."""
        out = copy.copy(self)
        out.follow(snapshot, settings, change)
        return out

    def follow(self, snapshot: MeshSnapshot, settings: Settings, change: Change) -> None:
        """Become the next configuration: for a copy that nobody else has seen."""
        before, relevance = self.snapshot, self._relevance
        everything = change.full or settings != self.settings
        self.snapshot, self.settings = snapshot, settings
        if everything or any(map(_is_relevant, _changed(before, snapshot, change))):
            self._relevance = _relevance(snapshot)
        if everything:
            self._views, self._inbound, self._keys = {}, {}, {}
            return
        if self._relevance == relevance:
            self._keys = {key: found for key, found in self._keys.items() if key[0] not in change.proxies}
        else:
            self._keys = {}
        if self._relevance == relevance:
            self._views = {
                key: view.successor(snapshot, change)
                for key, view in self._views.items()
                if view.may_follow(snapshot, change)
            }
        else:
            self._views = {}
        ruled = {
            rule.host
            for key in change.keys("DestinationRule")
            for rule in (before.destination_rules.get(key), snapshot.destination_rules.get(key))
            if rule is not None
        }
        self._inbound = {
            key: found
            for key, found in self._inbound.items()
            if key[0] not in change.proxies
            and not found.hosts & change.services
            and not any(hosts.matches(pattern, host) for pattern in ruled for host in found.hosts)
        }

    def forget(self, proxy: Proxy) -> None:
        """Drop what is kept for a proxy that is gone, but for the view: others may share it."""
        self._inbound.pop((proxy.address, proxy.id), None)
        self._keys.pop((proxy.address, proxy.id, proxy.namespace), None)

    def keep_views(self, keys: Iterable[ViewKey]) -> None:
        """Drop the views of which neither ``keys`` nor a proxy that is known names any."""
        wanted = {*keys, *self._keys.values()}
        self._views = {key: view for key, view in self._views.items() if key in wanted}

    def view(self, proxy: Proxy) -> View:
        """What the proxy shares with its namespace."""
        return self.view_of(self.view_key(proxy))

    def view_of(self, key: ViewKey) -> View:
        """What all proxies of the key share."""
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self._make_view(key)
        return found

    def _make_view(self, key: ViewKey) -> View:
        if key.gateway is not None:
            labels, ports = key.gateway
            return GatewayView(self.snapshot, self.settings, key.namespace, key.where, dict(labels), dict(ports))
        sidecar = self.snapshot.sidecars[key.sidecar] if key.sidecar else None
        return View(self.snapshot, self.settings, key.namespace, key.where, sidecar, answers_names=key.answers_names)

    def view_key(self, proxy: Proxy) -> ViewKey:
        """Proxies of one key share their view."""
        whose = (proxy.address, proxy.id, proxy.namespace)
        if whose not in self._keys:
            self._keys[whose] = self._make_key(proxy)
        return self._keys[whose]

    def _make_key(self, proxy: Proxy) -> ViewKey:
        labels = self._labels(proxy)
        relevant = self._relevance
        sidecar = self.sidecar(proxy)
        gateway = None
        if proxy.is_gateway:
            found = inbound_sides.targets(self.snapshot, proxy)
            ports = {port.number: target for target, (_service, port) in found.items()}
            gateway = (tuple(sorted(labels.items())), tuple(sorted(ports.items())))
        return ViewKey(
            namespace=proxy.namespace,
            where=Where(
                locality=self._locality(proxy) if relevant.locality else EVERYWHERE,
                labels=tuple((key, labels[key]) for key in sorted(relevant.labels & labels.keys())),
            ),
            sidecar=(sidecar.meta.namespace, sidecar.meta.name) if sidecar is not None else None,
            gateway=gateway,
            answers_names=proxy.answers_names,
        )

    def sidecar(self, proxy: Proxy) -> Sidecar | None:
        """The one that applies to the proxy (S5)."""
        if not self.snapshot.sidecars or proxy.is_gateway:
            return None
        found = self.snapshot.sidecars.values()
        return choose(found, proxy.namespace, self._labels(proxy), self.settings.root_namespace)

    def _locality(self, proxy: Proxy) -> Locality:
        pod = self.snapshot.pods.get(proxy.address)
        known = locality_of(pod, "", "", self.snapshot.nodes)
        return known if any(known) else proxy.locality

    def all_of(self, type_url: str, proxy: Proxy) -> dict[str, Encoded]:
        """Every cluster or listener of the proxy, by name."""
        view, own = self.view(proxy), self.inbound(proxy)
        if type_url == CLUSTER:
            return {**view.clusters, **own.clusters}
        if type_url == LISTENER:
            return {**view.listeners, **own.listeners}
        if type_url == NAME_TABLE:
            return {"": view.name_table}
        raise ValueError(f"{type_url} is served by name only")

    def named(self, type_url: str, proxy: Proxy, names: Iterable[str], *, splits: bool = False) -> dict[str, Encoded]:
        """The resources of these names, without those that do not exist. ``splits``: the proxy takes hosts one by one."""
        view = self.view(proxy)
        if type_url == ENDPOINT:
            return {name: view.endpoints(name) for name in names}
        if type_url == ROUTE:
            return {name: made for name in names if (made := view.route(name, splits=splits)) is not None}
        if type_url == VIRTUAL_HOST:
            return {name: made for name in names if (made := view.virtual_host(name)) is not None}
        if type_url == NAME_TABLE:
            return {name: view.name_table for name in names if name in NAMELESS}
        shared = view.clusters if type_url == CLUSTER else view.listeners
        own = self.inbound(proxy).of(type_url)
        return {name: made for name in names if (made := own.get(name) or shared.get(name)) is not None}

    def inbound(self, proxy: Proxy) -> Inbound:
        """The proxy's inbound clusters and its inbound listener."""
        key = (proxy.address, proxy.id)
        if key not in self._inbound and proxy.is_gateway:
            self._inbound[key] = Inbound({}, {}, self.snapshot.hosts_at.get(proxy.address, frozenset()))
        elif key not in self._inbound:
            self._inbound[key] = inbound_sides.make(
                self.snapshot,
                self.settings,
                proxy,
                self._labels(proxy),
                self.view(proxy).scope,
                self.sidecar(proxy),
            )
        return self._inbound[key]

    def _labels(self, proxy: Proxy) -> Mapping[str, str]:
        """The Pod's labels as they are; the proxy's own word as long as its Pod is unknown."""
        pod = self.snapshot.pods.get(proxy.address)
        if pod is not None and f"{pod.name}.{pod.namespace}" == proxy.id:
            return pod.labels
        return proxy.labels


def _relevance(snapshot: MeshSnapshot) -> Relevance:
    """What of a proxy any decision about its outbound side looks at: proxies that agree on it share a view (M12, D15, D7)."""
    rules = snapshot.destination_rules.values()
    keys = {key for item in snapshot.virtual_services.values() for key in item.label_keys}
    keys |= {key for rule in rules for key, _value in rule.selector}
    keys |= {text.partition("=")[0] for rule in rules for text in rule.locality_keys}
    distributed = any(service.traffic_distribution for service in snapshot.services.values())
    return Relevance(labels=frozenset(keys), locality=distributed or any(rule.is_local for rule in rules))


def _changed(
    before: MeshSnapshot, after: MeshSnapshot, change: Change
) -> Iterator[VirtualService | DestinationRule | Service | None]:
    """Each changed object as it was and as it is."""
    for snapshot in (before, after):
        for key in change.keys("VirtualService"):
            yield snapshot.virtual_services.get(key)
        for key in change.keys("DestinationRule"):
            yield snapshot.destination_rules.get(key)
        for host in change.services:
            yield snapshot.services.get(host)


def _is_relevant(item: VirtualService | DestinationRule | Service | None) -> bool:
    """Does it look at anything of its clients?"""
    match item:
        case VirtualService():
            return bool(item.label_keys)
        case DestinationRule():
            return bool(item.selector) or item.is_local
        case Service():
            return bool(item.traffic_distribution)
    return False
