"""All that proxies are told of one snapshot: the shared views, and each proxy's own inbound side. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_reference.model import hosts
from mesh_reference.model.destination_rules import policy_for
from mesh_reference.model.peer_authentications import compose
from mesh_reference.xds import clusters, listeners_inbound
from mesh_reference.xds.listeners_inbound import InboundPort
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST, Encoded, encode
from mesh_reference.xds.views import View

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.snapshot import Change, MeshSnapshot
    from mesh_reference.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Inbound:
    """One proxy's own side, by type and name. The same object as long as it stays the same."""

    clusters: Mapping[str, Encoded]
    listeners: Mapping[str, Encoded]
    hosts: frozenset[str]
    """Services that lead here."""

    def of(self, type_url: str) -> Mapping[str, Encoded]:
        return {CLUSTER: self.clusters, LISTENER: self.listeners}.get(type_url, {})


class Configuration:
    """What is served at one moment."""

    def __init__(self, snapshot: MeshSnapshot, settings: Settings) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self._views: dict[Hashable, View] = {}
        self._inbound: dict[tuple[str, str], Inbound] = {}
        self._relevant_labels = _relevant_labels(snapshot)

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
        before, labels = self.snapshot, self._relevant_labels
        everything = change.full or settings != self.settings
        self.snapshot, self.settings = snapshot, settings
        if everything or change.configs:
            self._relevant_labels = _relevant_labels(snapshot)
        if everything:
            self._views, self._inbound = {}, {}
            return
        if self._relevant_labels == labels:
            self._views = {key: view.successor(snapshot, change) for key, view in self._views.items()}
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

    def keep_only(self, proxies: Iterable[Proxy]) -> None:
        """Forget what is kept for proxies that are gone."""
        wanted = {(proxy.address, proxy.id) for proxy in proxies}
        self._inbound = {key: found for key, found in self._inbound.items() if key in wanted}

    def view(self, proxy: Proxy) -> View:
        """What the proxy shares with its namespace."""
        key = self.view_key(proxy)
        if key not in self._views:
            self._views[key] = View(self.snapshot, self.settings, proxy.namespace, dict(key[1]))
        return self._views[key]

    def view_key(self, proxy: Proxy) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Proxies of one key share their view."""
        labels = self._labels(proxy)
        return (proxy.namespace, tuple((key, labels[key]) for key in sorted(self._relevant_labels & labels.keys())))

    def all_of(self, type_url: str, proxy: Proxy) -> dict[str, Encoded]:
        """Every cluster or listener of the proxy, by name."""
        view, own = self.view(proxy), self.inbound(proxy)
        if type_url == CLUSTER:
            return {**view.clusters, **own.clusters}
        if type_url == LISTENER:
            return {**view.listeners, **own.listeners}
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
        shared = view.clusters if type_url == CLUSTER else view.listeners
        own = self.inbound(proxy).of(type_url)
        return {name: made for name in names if (made := own.get(name) or shared.get(name)) is not None}

    def inbound(self, proxy: Proxy) -> Inbound:
        """The proxy's inbound clusters and its inbound listener."""
        key = (proxy.address, proxy.id)
        if key not in self._inbound:
            targets = self._targets(proxy)
            made = [*self._inbound_clusters(proxy, targets)]
            listener = self._inbound_listener(proxy, targets)
            self._inbound[key] = Inbound(
                clusters={cluster.name: cluster for cluster in made},
                listeners={listener.name: listener},
                hosts=self.snapshot.hosts_at.get(proxy.address, frozenset()),
            )
        return self._inbound[key]

    def _labels(self, proxy: Proxy) -> Mapping[str, str]:
        """The Pod's labels as they are; the proxy's own word as long as its Pod is unknown."""
        pod = self.snapshot.pods.get(proxy.address)
        if pod is not None and f"{pod.name}.{pod.namespace}" == proxy.id:
            return pod.labels
        return proxy.labels

    def _targets(self, proxy: Proxy) -> dict[int, tuple[Service, ServicePort]]:
        """The application's ports by number, each with the Service port that leads there; of several the oldest Service's."""
        found: dict[int, tuple[Service, ServicePort]] = {}
        services = [
            service
            for host in sorted(self.snapshot.hosts_at.get(proxy.address, ()))
            if (service := self.snapshot.services.get(host)) is not None
        ]
        for service in sorted(services, key=lambda item: item.meta.age_key):
            for endpoint in self.snapshot.endpoints.get(service.hostname, ()):
                if endpoint.address != proxy.address:
                    continue
                for port in service.ports:
                    target = endpoint.target(port.name)
                    if target is not None:
                        found.setdefault(target, (service, port))
        return found

    def _inbound_clusters(self, proxy: Proxy, targets: Mapping[int, tuple[Service, ServicePort]]) -> Iterable[Encoded]:
        labels, scope = self._labels(proxy), self.view(proxy).scope
        for target, (service, port) in sorted(targets.items()):
            rule = scope.destination_rule(service.hostname, labels)
            made = clusters.inbound(target, port, policy_for(rule, "", port.number).pool, self.settings)
            yield encode(made.name, made)

    def _inbound_listener(self, proxy: Proxy, targets: Mapping[int, tuple[Service, ServicePort]]) -> Encoded:
        mtls = compose(
            self.snapshot.peer_authentications.values(),
            proxy.namespace,
            self._labels(proxy),
            self.settings.root_namespace,
        )
        ports = [
            InboundPort(target=target, host=service.hostname, number=port.number, protocol=port.protocol)
            for target, (service, port) in targets.items()
        ]
        made = listeners_inbound.virtual_inbound(ports, mtls, self.settings)
        return encode(made.name, made)


def _relevant_labels(snapshot: MeshSnapshot) -> frozenset[str]:
    """Label keys that any routing decision looks at: proxies that agree on them share a view (M12, D15)."""
    keys = {key for item in snapshot.virtual_services.values() for key in item.label_keys}
    return frozenset(keys | {key for rule in snapshot.destination_rules.values() for key, _value in rule.selector})
