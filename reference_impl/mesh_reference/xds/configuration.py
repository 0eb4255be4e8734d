"""All that proxies are told of one snapshot: the shared views, and each proxy's own inbound side. Pure."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from mesh_reference.model.destination_rules import policy_for
from mesh_reference.model.peer_authentications import compose
from mesh_reference.xds import clusters, listeners_inbound
from mesh_reference.xds.listeners_inbound import InboundPort
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Encoded, encode
from mesh_reference.xds.views import View

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.snapshot import Change, MeshSnapshot
    from mesh_reference.settings import Settings


class Configuration:
    """What is served at one moment."""

    def __init__(self, snapshot: MeshSnapshot, settings: Settings) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self._views: dict[Hashable, View] = {}
        self._memory: dict[Hashable, Encoded] = {}

    @property
    def version(self) -> str:
        """The snapshot's version, as responses carry it."""
        return str(self.snapshot.version)

    def succeeded_by(self, snapshot: MeshSnapshot, settings: Settings, change: Change) -> Configuration:
        """The configuration of the next snapshot, which keeps whatever ``change`` leaves as it is."""
        out = Configuration(snapshot, settings)
        if settings != self.settings:
            return out
        if change.full:
            # Clusters stay while nothing they are made of has changed; what this snapshot did not use is forgotten.
            used = {id(made) for view in self._views.values() for made in view.made_clusters()}
            out._memory = {key: made for key, made in self._memory.items() if id(made) in used}
            return out
        out._memory = self._memory
        out._relevant_labels = self._relevant_labels
        out._views = {key: view.with_endpoints(snapshot, change.endpoints) for key, view in self._views.items()}
        return out

    def view(self, proxy: Proxy) -> View:
        """What the proxy shares with its namespace."""
        labels = self._labels(proxy)
        relevant = {key: labels[key] for key in sorted(self._relevant_labels & labels.keys())}
        key = (proxy.namespace, tuple(relevant.items()))
        if key not in self._views:
            self._views[key] = View(self.snapshot, self.settings, proxy.namespace, relevant, self._memory)
        return self._views[key]

    def all_of(self, type_url: str, proxy: Proxy) -> dict[str, Encoded]:
        """Every cluster or listener of the proxy, by name."""
        view = self.view(proxy)
        if type_url == CLUSTER:
            return {**view.clusters, **{made.name: made for made in self._inbound_clusters(proxy, view)}}
        if type_url == LISTENER:
            inbound = self._inbound_listener(proxy)
            return {**view.listeners, inbound.name: inbound}
        raise ValueError(f"{type_url} is served by name only")

    def named(self, type_url: str, proxy: Proxy, names: Iterable[str]) -> dict[str, Encoded]:
        """The resources of these names, without those that do not exist."""
        view = self.view(proxy)
        if type_url == ENDPOINT:
            return {name: view.endpoints(name) for name in names}
        if type_url == ROUTE:
            return {name: made for name in names if (made := view.route(name)) is not None}
        found = self.all_of(type_url, proxy)
        return {name: found[name] for name in names if name in found}

    @cached_property
    def _relevant_labels(self) -> frozenset[str]:
        """Label keys that any routing decision looks at: proxies that agree on them share a view (M12, D15)."""
        keys = {
            key
            for item in self.snapshot.virtual_services.values()
            for route in item.http
            for match in route.matches
            for key, _value in match.source_labels
        }
        keys |= {key for rule in self.snapshot.destination_rules.values() for key, _value in rule.selector}
        return frozenset(keys)

    @cached_property
    def _served_at(self) -> Mapping[str, list[tuple[Service, Endpoint]]]:
        found: dict[str, list[tuple[Service, Endpoint]]] = defaultdict(list)
        services = self.snapshot.services
        for host in sorted(self.snapshot.endpoints, key=lambda host: (host not in services, host)):
            service = services.get(host)
            if service is None:
                break
            for endpoint in self.snapshot.endpoints[host]:
                found[endpoint.address].append((service, endpoint))
        return found

    def _labels(self, proxy: Proxy) -> Mapping[str, str]:
        """The Pod's labels as they are; the proxy's own word as long as its Pod is unknown."""
        pod = self.snapshot.pods.get(proxy.address)
        if pod is not None and f"{pod.name}.{pod.namespace}" == proxy.id:
            return pod.labels
        return proxy.labels

    def _targets(self, proxy: Proxy) -> dict[int, tuple[Service, ServicePort]]:
        """The application's ports by number, each with the Service port that leads there; of several the oldest Service's."""
        found: dict[int, tuple[Service, ServicePort]] = {}
        for service, endpoint in sorted(self._served_at.get(proxy.address, ()), key=lambda item: item[0].meta.age_key):
            for port in service.ports:
                target = endpoint.target(port.name)
                if target is not None:
                    found.setdefault(target, (service, port))
        return found

    def _inbound_clusters(self, proxy: Proxy, view: View) -> Iterable[Encoded]:
        labels = self._labels(proxy)
        for target, (service, port) in sorted(self._targets(proxy).items()):
            rule = view.scope.destination_rule(service.hostname, labels)
            pool = policy_for(rule, "", port.number).pool
            made = clusters.inbound(target, port, pool, self.settings)
            yield encode(made.name, made)

    def _inbound_listener(self, proxy: Proxy) -> Encoded:
        mtls = compose(
            self.snapshot.peer_authentications.values(),
            proxy.namespace,
            self._labels(proxy),
            self.settings.root_namespace,
        )
        ports = [
            InboundPort(target=target, host=service.hostname, number=port.number, protocol=port.protocol)
            for target, (service, port) in self._targets(proxy).items()
        ]
        made = listeners_inbound.virtual_inbound(ports, mtls, self.settings)
        return encode(made.name, made)
