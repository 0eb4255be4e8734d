"""What proxies of one namespace have in common in one snapshot: clusters, endpoints, outbound listeners, routes. Pure.

Each part is made when the first proxy asks and shared by all; a change of endpoints alone makes a view that shares the rest.
"""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.model.destination_rules import policy_for
from mesh_reference.model.protocols import Protocol
from mesh_reference.xds import clusters, endpoints, listeners_outbound, names, virtual_hosts
from mesh_reference.xds.network_filters import MAX_DIRECT_RESPONSE
from mesh_reference.xds.resources import Encoded, encode
from mesh_reference.xds.route_matches import Client
from mesh_reference.xds.scopes import Scope
from mesh_reference.xds.targets import ClientTargets

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping

    from envoy.config.listener.v3 import listener_pb2
    from envoy.config.route.v3 import route_components_pb2

    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.snapshot import MeshSnapshot
    from mesh_reference.settings import Settings

logger = logging.getLogger(__name__)

WILDCARD_TAKEN = frozenset({names.OUTBOUND_PORT, names.INBOUND_PORT, 15021, 15090})
"""Ports of the proxy's own listeners on 0.0.0.0: a Service of such a port is reached by passthrough."""
BUILD_ERRORS = (ValueError, TypeError, OverflowError)
"""What protobuf raises for a value that the field cannot hold."""


class View:
    """Configuration shared by the proxies of ``namespace`` whose labels are alike where labels matter."""

    def __init__(
        self,
        snapshot: MeshSnapshot,
        settings: Settings,
        namespace: str,
        labels: Mapping[str, str],
        memory: MutableMapping[Hashable, Encoded],
    ) -> None:
        self._snapshot = snapshot
        self._settings = settings
        self._client = Client(namespace=namespace, labels=labels)
        self._memory = memory
        self.scope = Scope(snapshot, namespace, settings.root_namespace)
        self.targets = ClientTargets(self.scope, labels)
        self._clusters: dict[str, Encoded] | None = None
        self._listeners: dict[str, Encoded] | None = None
        self._routes: dict[str, Encoded] = {}
        self._endpoints: dict[str, Encoded] = {}

    def with_endpoints(self, snapshot: MeshSnapshot, hosts: frozenset[str]) -> View:
        """The same view of a snapshot that differs only in the endpoints of ``hosts``."""
        out = copy.copy(self)
        out._snapshot = snapshot  # noqa: SLF001  a copy of this very object
        out._endpoints = {name: kept for name, kept in self._endpoints.items() if _host(name) not in hosts}  # noqa: SLF001
        return out

    def made_clusters(self) -> Iterable[Encoded]:
        """The clusters as far as anyone has asked for them."""
        return (self._clusters or {}).values()

    @property
    def clusters(self) -> dict[str, Encoded]:
        """Every outbound cluster that the namespace may use, and the fixed ones, by name."""
        if self._clusters is None:
            self._clusters = {made.name: made for made in self._make_clusters()}
        return self._clusters

    @property
    def listeners(self) -> dict[str, Encoded]:
        """The virtual outbound listener and those it hands connections on to, by name."""
        if self._listeners is None:
            self._listeners = {made.name: encode(made.name, made) for made in self._make_listeners()}
        return self._listeners

    def endpoints(self, cluster: str) -> Encoded:
        """The endpoints of an outbound cluster, in sight or not: Envoy asks only for clusters that it was given."""
        if cluster not in self._endpoints:
            target = names.parse_outbound_cluster(cluster)
            rule = self.scope.destination_rule(target[0], self._client.labels) if target else None
            made = endpoints.load_assignment(cluster, self._snapshot, rule, self._settings)
            self._endpoints[cluster] = encode(cluster, made)
        return self._endpoints[cluster]

    def route(self, name: str) -> Encoded | None:
        """The route configuration ``80`` or ``fqdn:80``; None for a name that is neither."""
        if name not in self._routes:
            made = self._make_route(name)
            if made is None:
                return None
            self._routes[name] = encode(name, made)
        return self._routes[name]

    def _make_clusters(self) -> Iterator[Encoded]:
        for fixed in clusters.fixed(self._settings):
            yield encode(fixed.name, fixed)
        for service in self.scope.services.values():
            rule = self.scope.destination_rule(service.hostname, self._client.labels)
            servers = self._snapshot.endpoints.get(service.hostname, ())
            accounts = sorted({(item.namespace, item.service_account) for item in servers if item.service_account})
            sans = tuple(names.spiffe_id(self._settings.trust_domain, *account) for account in accounts)
            mutual = service.headless and bool(servers) and all(item.tls_mode == "istio" for item in servers)
            for port in service.ports:
                for subset in ("", *dict.fromkeys(item.name for item in rule.subsets)) if rule else ("",):
                    name = names.outbound_cluster(service.hostname, port.number, subset)
                    refs = rule.refs if rule else ()
                    key = (name, port, service.headless, service.meta.name, refs, sans, mutual)
                    if key not in self._memory:
                        policy = policy_for(rule, subset, port.number)
                        try:
                            made = clusters.outbound(
                                service, port, subset, rule, policy, sans, self._settings, all_mutual=mutual
                            )
                            self._memory[key] = encode(name, made)
                        except BUILD_ERRORS as error:
                            logger.error("cluster %s is left out: %s", name, error)  # noqa: TRY400  the text says it
                            continue
                    yield self._memory[key]

    def _make_listeners(self) -> Iterator[listener_pb2.Listener]:
        yield listeners_outbound.virtual_outbound(self._settings)
        made: set[str] = {names.VIRTUAL_OUTBOUND}
        for service in self.scope.services.values():
            for port in service.ports:
                for listener in self._port_listeners(service, port, made):
                    made.add(listener.name)
                    yield listener

    def _port_listeners(self, service: Service, port: ServicePort, made: set[str]) -> Iterator[listener_pb2.Listener]:
        number, settings = port.number, self._settings
        if port.protocol.is_http:
            if number not in WILDCARD_TAKEN and names.listener(names.WILDCARD, number) not in made:
                yield listeners_outbound.http(number, settings)
            return
        # A headless Service has no address of its own: its clients call its endpoints.
        servers = self._snapshot.endpoints.get(service.hostname, ()) if service.headless else ()
        addresses = service.addresses or tuple(sorted({item.address for item in servers if item.ready}))
        cluster = names.outbound_cluster(service.hostname, number)
        for address in addresses:
            if names.listener(address, number) in made:
                continue
            if port.protocol is Protocol.AUTO:
                yield listeners_outbound.detected(address, number, service.hostname, cluster, settings)
            else:
                yield listeners_outbound.tcp(address, number, cluster, settings)

    def _make_route(self, name: str) -> route_pb2.RouteConfiguration | None:
        host, colon, number = name.rpartition(":")
        if not number.isdigit():
            return None
        port = int(number)
        if colon:
            service = self.scope.services.get(host)
            planned = virtual_hosts.plan_one(self.scope, self._client, service, port, self.targets) if service else None
            plans = [planned] if planned else []
        else:
            plans = virtual_hosts.plan(self.scope, self._client, port, self.targets)
        hosts = [made for made in map(self._virtual_host, plans) if made is not None]
        if not any("*" in made.domains for made in hosts):
            hosts.append(virtual_hosts.catch_all(self._settings.outbound_policy))
        return route_pb2.RouteConfiguration(
            name=name,
            virtual_hosts=hosts,
            validate_clusters=wrappers_pb2.BoolValue(value=False),
            ignore_port_in_host_matching=True,
            max_direct_response_body_size_bytes=wrappers_pb2.UInt32Value(value=MAX_DIRECT_RESPONSE),
        )

    def _virtual_host(self, planned: virtual_hosts.HostPlan) -> route_components_pb2.VirtualHost | None:
        try:
            return virtual_hosts.build(planned, self._client, self.targets)
        except BUILD_ERRORS as error:
            logger.error("virtual host %s is left out: %s", planned.name, error)  # noqa: TRY400  the text says it
            return None


def _host(cluster: str) -> str:
    return cluster.rpartition("|")[2]
