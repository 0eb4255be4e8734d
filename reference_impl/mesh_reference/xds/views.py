"""What proxies of one namespace have in common in one snapshot: clusters, endpoints, outbound listeners, routes. Pure.

Each part is made when the first proxy asks and shared by all. A change makes the next view, which shares with this one
whatever the change does not concern, and remembers the names of what it made anew.
"""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

from mesh_reference.model.destination_rules import policy_for
from mesh_reference.model.services import Resolution
from mesh_reference.settings import OutboundPolicy
from mesh_reference.xds import clusters, endpoints, listeners_outbound, name_tables, names, outbound_plans
from mesh_reference.xds.listeners_outbound import Unknown
from mesh_reference.xds.resources import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    NAME_TABLE,
    NAMELESS,
    ROUTE,
    VIRTUAL_HOST,
    Encoded,
    encode,
)
from mesh_reference.xds.route_matches import Client
from mesh_reference.xds.route_tables import BUILD_ERRORS, Dirt, Place, RouteTable, split
from mesh_reference.xds.scopes import Scope, hides_its_own
from mesh_reference.xds.targets import ClientTargets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from envoy.config.listener.v3 import listener_pb2

    from mesh_reference.model.services import Service
    from mesh_reference.model.sidecars import Sidecar
    from mesh_reference.model.snapshot import Change, MeshSnapshot
    from mesh_reference.settings import Settings
    from mesh_reference.xds.localities import Where
    from mesh_reference.xds.outbound_plans import ListenerPlan

logger = logging.getLogger(__name__)

MEMORY = 64
"""How many changes back a view can tell what differs."""

Names = dict[str, frozenset[str]]
"""Type: names of the resources that differ."""


class View:
    """Configuration shared by the proxies of ``namespace`` whose labels are alike where labels matter."""

    is_remade = False
    """Is it made anew with every change but those of addresses? Else it is followed."""

    def __init__(
        self,
        snapshot: MeshSnapshot,
        settings: Settings,
        namespace: str,
        where: Where,
        sidecar: Sidecar | None = None,
        *,
        answers_names: bool = False,
    ) -> None:
        self._snapshot = snapshot
        self._settings = settings
        self._where = where
        self._client = Client(namespace=namespace, labels=dict(where.labels))
        self._sidecar = sidecar
        self.is_remade = self.is_remade or (sidecar is not None and bool(sidecar.egress))
        self._place_in(Scope(snapshot, namespace, settings.root_namespace, sidecar, answers_names=answers_names))
        self._clusters: dict[str, Encoded] | None = None
        self._by_host: dict[str, tuple[str, ...]] = {}
        """Host: names of its clusters."""
        self._listeners: dict[str, Encoded] | None = None
        self._messages: dict[ListenerPlan | None, Encoded] = {}
        """Outbound listeners by their plans."""
        self._name_table: Encoded | None = None
        self._tables: dict[str, RouteTable] = {}
        self._endpoints: dict[str, dict[str, Encoded]] = {}
        """By host, then by cluster."""
        self._history: dict[int, Names] = {snapshot.version: {}}
        """Oldest first: versions, and what differs from the one before."""
        self._since: dict[int, Names | None] = {}
        self._next: View | None = None
        """The view that followed this one, if there is one already."""

    def _place_in(self, scope: Scope) -> None:
        sidecar, self.scope = self._sidecar, scope
        self.targets = self._make_targets(scope)
        policy = (sidecar.outbound_policy if sidecar else None) or self._settings.outbound_policy
        cluster = names.PASSTHROUGH if policy is OutboundPolicy.ALLOW_ANY else names.BLACK_HOLE
        if sidecar is not None and sidecar.egress_proxy is not None and policy is OutboundPolicy.ALLOW_ANY:
            cluster = self.targets.l4_cluster(sidecar.egress_proxy, 0)
        self._place = Place(
            scope=scope,
            client=self._client,
            targets=self.targets,
            unknown=Unknown(policy=policy, cluster=cluster),
        )

    def _make_targets(self, scope: Scope) -> ClientTargets:
        return ClientTargets(scope, self._client.labels)

    @property
    def version(self) -> int:
        """The snapshot's."""
        return self._snapshot.version

    def changed_since(self, version: int) -> Names | None:
        """The names that may differ from the view of that version; None when that is too long ago to tell."""
        if version not in self._since:
            self._since[version] = self._sum_since(version)
        return self._since[version]

    def _sum_since(self, version: int) -> Names | None:
        if version not in self._history:
            return None
        out: Names = {}
        for known, differing in self._history.items():
            if known > version:
                for type_url, found in differing.items():
                    out[type_url] = out.get(type_url, frozenset()) | found
        return out

    def may_follow(self, snapshot: MeshSnapshot, change: Change) -> bool:
        """Can the next view be made from this one? ``change`` is not ``full``."""
        if self.is_remade or self.scope.hides:
            return not (change.services or change.configs)
        return not any(hides_its_own(snapshot.services.get(host), self._client.namespace) for host in change.services)

    def successor(self, snapshot: MeshSnapshot, change: Change) -> View:
        """The view of the next snapshot, where that may follow (:meth:`may_follow`)."""
        out = copy.copy(self)
        out.follow(snapshot, change)
        self._next = out
        return out

    def _note_made(self) -> None:
        """A part was made late: what followed had nothing to compare with, so it cannot tell what differs from before."""
        following = self._next
        while following is not None:
            following = following.begin_anew()

    def begin_anew(self) -> View | None:
        """Forget what differed from earlier views; gives the view that follows, if there is one."""
        self._history = {self.version: {}}
        self._since = {}
        return self._next

    def follow(self, snapshot: MeshSnapshot, change: Change) -> None:
        """Become the view of the next snapshot: for a copy that nobody else has seen."""
        self._next = None
        self._by_host = dict(self._by_host)
        before, self._snapshot = self._snapshot, snapshot
        differing: Names = {}
        dirt = _dirt(before, snapshot, change)
        if change.services or change.configs:
            self._place_in(self.scope.successor(snapshot, change))
            differing[CLUSTER] = self._renew_clusters(dirt)
            differing[LISTENER] = self._renew_listeners(dirt)
            differing[ROUTE], differing[VIRTUAL_HOST] = self._renew_routes(dirt)
            differing[NAME_TABLE] = self._renew_names() if change.services else frozenset()
        differing[ENDPOINT] = self._forget_endpoints(change, dirt)
        kept = [*self._history.items()][-MEMORY:]
        self._history = dict([*kept, (self.version, {kind: found for kind, found in differing.items() if found})])
        self._since = {}

    def _forget_endpoints(self, change: Change, dirt: Dirt) -> frozenset[str]:
        stale = self._endpoints.keys() & change.endpoints | dirt.touched(self._endpoints)
        names = frozenset(name for host in stale for name in self._endpoints[host])
        # A mapping of its own even where nothing is stale: what the view before makes late is of its own snapshot.
        self._endpoints = dict(self._endpoints)
        for host in stale:
            del self._endpoints[host]
        return names

    @property
    def clusters(self) -> Mapping[str, Encoded]:
        """Every outbound cluster that the namespace may use, and the fixed ones, by name."""
        if self._clusters is None:
            self._clusters = {fixed.name: encode(fixed.name, fixed) for fixed in clusters.fixed(self._settings)}
            for host, service in self.scope.services.items():
                self._add_clusters(self._clusters, host, service)
            self._note_made()
        return self._clusters

    @property
    def listeners(self) -> Mapping[str, Encoded]:
        """The virtual outbound listener and those it hands connections on to, by name."""
        if self._listeners is None:
            self._listeners = {made.name: made for made in self._make_listeners()}
            self._note_made()
        return self._listeners

    @property
    def name_table(self) -> Encoded:
        """The addresses of every name in sight, for an agent that answers names."""
        if self._name_table is None:
            self._name_table = name_tables.encoded(self.scope.services.values(), self._snapshot.endpoints)
            self._note_made()
        return self._name_table

    def _renew_names(self) -> frozenset[str]:
        before, self._name_table = self._name_table, None
        return frozenset(NAMELESS if before and self.name_table.version != before.version else ())

    def endpoints(self, cluster: str) -> Encoded:
        """The endpoints of an outbound cluster, in sight or not: Envoy asks only for clusters that it was given."""
        target = names.parse_outbound_cluster(cluster)
        host = target[0] if target else ""
        known = self._endpoints.get(host, {}).get(cluster)
        if known is None:
            rule = self.scope.destination_rule(host, self._client.labels) if target else None
            known = encode(
                cluster, endpoints.load_assignment(cluster, self._snapshot, rule, self._settings, self._where)
            )
            # Earlier views share the inner mapping: it is replaced, never changed.
            self._endpoints[host] = {**self._endpoints.get(host, {}), cluster: known}
            self._note_made()
        return known

    def route(self, name: str, *, splits: bool) -> Encoded | None:
        """The route configuration ``80`` or ``fqdn:80``; None for a name that is neither.

        ``splits``: of one with many hosts only the frame, the hosts come one by one.
        """
        if splits and name.isdigit():
            return split(name)
        table = self._table(name)
        return table.whole if table is not None else None

    def virtual_hosts(self, names_of_routes: Iterable[str]) -> dict[str, Encoded]:
        """The hosts of those route configurations that come one by one."""
        out: dict[str, Encoded] = {}
        for name in names_of_routes:
            if name.isdigit() and (table := self._table(name)) is not None:
                out.update((made.name, made) for made in table.made.values())
        return out

    def virtual_host(self, resource: str) -> Encoded | None:
        """One of them by its resource's name ``<route configuration>/<virtual host>``."""
        route, _slash, host = resource.partition("/")
        table = self._table(route) if route.isdigit() else None
        return table.made.get(host) if table is not None else None

    def _table(self, name: str) -> RouteTable | None:
        if name not in self._tables:
            host, colon, number = name.rpartition(":")
            if not number.isdigit():
                return None
            if not colon:
                self._tables[name] = RouteTable.of_port(int(number), self._place)
            else:
                of_port = self._table(number)
                planned = of_port.plans.hosts.get(names.virtual_host(host, int(number))) if of_port else None
                self._tables[name] = RouteTable.of_host(name, planned, self._place)
            self._note_made()
        return self._tables[name]

    def _renew_routes(self, dirt: Dirt) -> tuple[frozenset[str], frozenset[str]]:
        """Names of route configurations and of virtual hosts that differ."""
        before, after = self._tables, dict(self._tables)
        whole: set[str] = set()
        single: set[str] = set()
        for name, table in before.items():
            if not name.isdigit():
                continue
            after[name] = new = table.successor(self._place, dirt)
            if new.made is table.made:
                continue
            whole.add(name)
            single.update(f"{name}/{key}" for key in new.differs)
        self._tables = after
        for name in [name for name in before if not name.isdigit()]:
            host, _colon, number = name.rpartition(":")
            if f"{number}/{names.virtual_host(host, int(number))}" in single:
                del after[name]
                whole.add(name)
        return frozenset(whole), frozenset(single)

    def _renew_clusters(self, dirt: Dirt) -> frozenset[str]:
        if self._clusters is None:
            return frozenset()
        touched = dirt.touched(self._by_host) | dirt.services
        if not touched:
            return frozenset()
        before, after = self._clusters, dict(self._clusters)
        differing: set[str] = set()
        for host in touched:
            for name in self._by_host.pop(host, ()):
                after.pop(name, None)
                differing.add(name)
            service = self.scope.services.get(host)
            if service is not None:
                self._add_clusters(after, host, service)
                differing.update(self._by_host[host])
        out = set()
        for name in differing:
            old, new = before.get(name), after.get(name)
            if old is not None and new is not None and old.version == new.version:
                after[name] = old
            else:
                out.add(name)
        self._clusters = after
        return frozenset(out)

    def _add_clusters(self, into: dict[str, Encoded], host: str, service: Service) -> None:
        rule = self.scope.destination_rule(host, self._client.labels)
        servers = self._snapshot.endpoints.get(host, ())
        accounts = sorted({(item.namespace, item.service_account) for item in servers if item.service_account})
        domains = self._settings.trust_domains
        sans = tuple(names.spiffe_id(domain, *account) for account in accounts for domain in domains)
        mutual = service.by_original_address and bool(servers) and all(item.tls_mode == "istio" for item in servers)
        dns = service.resolution in {Resolution.DNS, Resolution.DNS_ROUND_ROBIN}
        added = []
        for port in service.ports:
            for subset in ("", *dict.fromkeys(item.name for item in rule.subsets)) if rule else ("",):
                name = names.outbound_cluster(host, port.number, subset)
                policy = policy_for(rule, subset, port.number)
                try:
                    told = (
                        endpoints.load_assignment(name, self._snapshot, rule, self._settings, self._where)
                        if dns
                        else None
                    )
                    made = clusters.outbound(
                        service,
                        port,
                        subset,
                        rule,
                        policy,
                        sans,
                        self._settings,
                        all_mutual=mutual,
                        servers=told,
                    )
                    into[name] = encode(name, made)
                except BUILD_ERRORS as error:
                    logger.error("cluster %s is left out: %s", name, error)  # noqa: TRY400  the text says it
                    continue
                added.append(name)
        self._by_host[host] = tuple(added)

    def _renew_listeners(self, dirt: Dirt) -> frozenset[str]:
        l4 = any(item is not None and (item.tls or item.tcp) for _key, *both in dirt.routed for item in both)
        if self._listeners is None or not (dirt.services or dirt.ruled or l4):
            return frozenset()
        before, after = self._listeners, {made.name: made for made in self._make_listeners()}
        self._listeners = after
        return frozenset(name for name in before.keys() | after.keys() if before.get(name) is not after.get(name))

    def _make_listeners(self) -> Iterator[Encoded]:
        used: dict[ListenerPlan | None, Encoded] = {}
        plans = outbound_plans.plan(self.scope, self._client, self.targets, self._snapshot.endpoints)
        for plan in (None, *plans):
            made = self._messages.get(plan)
            if made is None:
                try:
                    made = _encode_listener(self._listener(plan))
                except BUILD_ERRORS as error:
                    name = plan.name if plan else names.VIRTUAL_OUTBOUND
                    logger.error("listener %s is left out: %s", name, error)  # noqa: TRY400  the text says it
                    continue
            used[plan] = made
            yield made
        self._messages = used

    def _listener(self, plan: ListenerPlan | None) -> listener_pb2.Listener:
        """Of a plan; None is the virtual outbound listener."""
        if plan is None:
            return listeners_outbound.virtual_outbound(self._settings, self._place.unknown)
        return listeners_outbound.planned(plan, self._settings, self._place.unknown)


def _encode_listener(made: listener_pb2.Listener) -> Encoded:
    return encode(made.name, made)


def _dirt(before: MeshSnapshot, after: MeshSnapshot, change: Change) -> Dirt:
    ruled = {
        rule.host
        for key in change.keys("DestinationRule")
        for rule in (before.destination_rules.get(key), after.destination_rules.get(key))
        if rule is not None
    }
    return Dirt(
        services=change.services,
        routed=tuple(
            (key, before.virtual_services.get(key), after.virtual_services.get(key))
            for key in change.keys("VirtualService")
        ),
        ruled=tuple(sorted(ruled)),
    )
