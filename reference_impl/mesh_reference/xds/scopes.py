"""What one namespace's clients see of a snapshot: services, VirtualServices of the mesh, DestinationRules (B4-B7, §1.7).

Pure, and made once per snapshot and namespace: every proxy of a namespace shares it.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from mesh_reference.model import hosts
from mesh_reference.model.destination_rules import DestinationRule, merge
from mesh_reference.model.hosts import MESH
from mesh_reference.model.services import client_domains, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mesh_reference.model.services import Service, ServicePort
    from mesh_reference.model.sidecars import Sidecar
    from mesh_reference.model.snapshot import Change, Key, MeshSnapshot
    from mesh_reference.model.virtual_services import VirtualService


class Scope:
    """The view of one namespace. ``successor`` makes the next one at the cost of what changed."""

    def __init__(
        self,
        snapshot: MeshSnapshot,
        namespace: str,
        root_namespace: str,
        sidecar: Sidecar | None = None,
        *,
        answers_names: bool = False,
    ) -> None:
        """``answers_names``: clients here learn addresses from their agents, so that allocated ones are of use."""
        self.snapshot = snapshot
        self._answers_names = answers_names
        self.namespace = namespace
        self._root_namespace = root_namespace
        self._egress = sidecar.egress if sidecar is not None else ()
        self.virtual_services = self._routed(snapshot)
        seen = {host: service for host, service in snapshot.services.items() if service.visible_from(namespace)}
        self._aliases = {host: service.external_name for host, service in seen.items() if service.external_name}
        known = {host for host, service in seen.items() if not service.external_name and self._knows(service)}
        if self._egress:
            # B13: what an imported VirtualService leads to is known with it.
            known |= {host for item in self.virtual_services for host in item.destinations if host in seen}
        hidden = {host: service for host, service in snapshot.services.items() if hides_its_own(service, namespace)}
        self.hides = bool(hidden)
        """Does the namespace keep some of its Services from itself? Then every change may bring one or take it away."""
        brought = self._brought(hidden)
        seen |= brought
        known |= brought.keys()
        self.services: dict[str, Service] = {host: self._addressed(seen[host]) for host in sorted(known)}
        self._by_port = _by_port(self.services.values())
        self._domains: dict[str, tuple[str, ...]] = {}
        self._rules = _rules_by_namespace(snapshot.destination_rules.values())
        self._index_rules()

    def _brought(self, hidden: Mapping[str, Service]) -> dict[str, Service]:
        """B13: in the client's own namespace a route leads to a Service whatever its exportTo, by the ports that it names."""
        ports: dict[str, set[int]] = defaultdict(set)
        for item in self.virtual_services if hidden else ():
            for host, port in item.destination_ports:
                if host in hidden:
                    ports[host].add(port)
        narrowed = {
            host: hidden[host] if 0 in wanted else _with_ports(hidden[host], wanted) for host, wanted in ports.items()
        }
        return {host: service for host, service in narrowed.items() if service.ports}

    def _addressed(self, service: Service) -> Service:
        if self._answers_names and service.allocated and not service.addresses:
            return replace(service, addresses=(service.allocated,))
        return service

    def _knows(self, service: Service) -> bool:
        return not self._egress or any(item.knows(service.meta.namespace, service.hostname) for item in self._egress)

    def _routed(self, snapshot: MeshSnapshot) -> list[VirtualService]:
        found = bound_to(snapshot.virtual_services.values(), self.namespace, frozenset({MESH}))
        if not self._egress:
            return found
        return [
            item
            for item in found
            if any(egress.routes(item.meta.namespace, host) for egress in self._egress for host in item.hosts)
        ]

    def ports_of(self, service: Service) -> tuple[ServicePort, ...]:
        """The ports on which clients here know the Service."""
        return (
            tuple(port for port in service.ports if self._on(port.number, service)) if self._egress else service.ports
        )

    def _on(self, port: int, service: Service) -> bool:
        """An egress listener with the port speaks for it alone; else those without one."""
        own = [item for item in self._egress if item.port == port] or [item for item in self._egress if not item.port]
        return any(item.knows(service.meta.namespace, service.hostname) for item in own)

    def _index_rules(self) -> None:
        self._wildcards = {
            namespace: [pattern for pattern in by_host if pattern.startswith("*")]
            for namespace, by_host in self._rules.items()
        }
        own = self._rules.get(self.namespace, {})
        self._selecting = [rule.host for rules in own.values() for rule in rules if rule.selector]
        self._rule_cache: dict[tuple[str, frozenset[tuple[str, str]]], DestinationRule | None] = {}

    def successor(self, snapshot: MeshSnapshot, change: Change) -> Scope:
        """The scope of the next snapshot, which differs from this one's by ``change`` (and is not ``full``)."""
        out = copy.copy(self)
        out.follow(snapshot, change)
        return out

    def follow(self, snapshot: MeshSnapshot, change: Change) -> None:
        """Become the scope of the next snapshot: for a copy that nobody else has seen."""
        before, self.snapshot = self.snapshot, snapshot
        if change.services:
            self._take_services(before, change.services)
        routed = change.keys("VirtualService")
        ruled = change.keys("DestinationRule")
        if routed:
            self._take_virtual_services(before, routed)
        if ruled:
            self._take_rules(before, ruled)
        elif change.services:
            # A rule is looked for in the Service's namespace, too.
            self._rule_cache = {key: rule for key, rule in self._rule_cache.items() if key[0] not in change.services}

    def _take_services(self, before: MeshSnapshot, changed: frozenset[str]) -> None:
        """No ExternalName among them: those make a change full."""
        services = dict(self.services)
        ports: set[int] = set()
        for host in changed:
            for found in (before.services.get(host), self.snapshot.services.get(host)):
                ports.update(port.number for port in found.ports) if found else None
            service = self.snapshot.services.get(host)
            if service is not None and service.visible_from(self.namespace):
                services[host] = self._addressed(service)
            else:
                services.pop(host, None)
        if services.keys() != self.services.keys():
            services = {host: services[host] for host in sorted(services)}
        self.services = services
        self._domains = {host: kept for host, kept in self._domains.items() if host not in changed}
        by_port = _by_port(services.values(), ports)
        self._by_port = {port: found for port, found in self._by_port.items() if port not in ports} | by_port

    def _take_virtual_services(self, before: MeshSnapshot, keys: list[Key]) -> None:
        """One that only routes otherwise keeps its place; any other change sorts them anew."""
        found = list(self.virtual_services)
        for key in keys:
            old, new = before.virtual_services.get(key), self.snapshot.virtual_services.get(key)
            if old is None or new is None or not new.takes_as(old):
                found = self._routed(self.snapshot)
                break
            index = next((at for at, item in enumerate(found) if item is old), None)
            if index is not None:
                found[index] = new
        self.virtual_services = found

    def _take_rules(self, before: MeshSnapshot, keys: list[Key]) -> None:
        self._rules = dict(self._rules)
        touched = {
            (key[0], rule.host)
            for key in keys
            for rule in (before.destination_rules.get(key), self.snapshot.destination_rules.get(key))
            if rule is not None
        }
        for namespace, host in touched:
            by_host = dict(self._rules.get(namespace, {}))
            group = [
                rule
                for rule in self.snapshot.destination_rules.values()
                if rule.host == host and rule.meta.namespace == namespace
            ]
            by_host.pop(host, None)
            if group:
                by_host[host] = merge(group)
            self._rules[namespace] = by_host
        self._index_rules()

    def on_port(self, port: int) -> list[Service]:
        """Services with that port, by host name."""
        found = self._by_port.get(port, [])
        return [service for service in found if self._on(port, service)] if self._egress else found

    def domains(self, service: Service) -> tuple[str, ...]:
        """Every name that a client here may call the Service by."""
        host = service.hostname
        if host not in self._domains:
            self._domains[host] = client_domains(service, self.namespace, self.aliases_of(host))
        return self._domains[host]

    def resolve_alias(self, host: str) -> str:
        """The Service behind an ExternalName Service of the mesh; any other host is itself."""
        return self._aliases.get(host, host)

    def aliases_of(self, host: str) -> list[str]:
        """ExternalName Services that stand for this host."""
        return sorted(alias for alias, target in self._aliases.items() if target == host)

    def has_selectors(self, host: str) -> bool:
        """Does any DestinationRule of this namespace for the host look at the client's labels (D15)?"""
        return any(hosts.matches(pattern, host) for pattern in self._selecting)

    def destination_rule(self, host: str, labels: Mapping[str, str]) -> DestinationRule | None:
        """The one rule for the host: of the client's namespace, else of the Service's, else of the root namespace.

        Within a namespace the most specific host wins and nothing is inherited from a wider one; a rule whose selector
        takes the client beats one without.
        """
        key = (host, frozenset(labels.items()) if self.has_selectors(host) else frozenset())
        if key not in self._rule_cache:
            self._rule_cache[key] = self._find_rule(host, labels)
        return self._rule_cache[key]

    def _find_rule(self, host: str, labels: Mapping[str, str]) -> DestinationRule | None:
        in_root = self.namespace == self._root_namespace
        # Rules for the whole mesh live in the root namespace: there only private ones precede the Service's own.
        rule = self._best(self.namespace, host, labels, lambda item: not in_root or _private(item))
        if rule is not None:
            return rule
        service = self.snapshot.services.get(host)
        for namespace in dict.fromkeys((service.meta.namespace if service else "", self._root_namespace)):
            rule = self._best(namespace, host, labels, lambda item: not item.selector and not _private(item))
            # D19: what is not exported to this client counts for nobody else either.
            if rule is not None and visible(rule.export_to, namespace, self.namespace):
                return rule
        return None

    def _best(
        self, namespace: str, host: str, labels: Mapping[str, str], usable: Callable[[DestinationRule], bool]
    ) -> DestinationRule | None:
        by_host = self._rules.get(namespace, {})
        found: dict[str, DestinationRule] = {}
        for pattern in (host, *self._wildcards.get(namespace, ())):
            if not hosts.matches(pattern, host):
                continue
            fitting = [rule for rule in by_host.get(pattern, ()) if usable(rule) and _selects(rule, labels)]
            if fitting:
                # A rule that selects this Pod comes before one for every Pod (D15).
                found[pattern] = next((rule for rule in fitting if rule.selector), fitting[0])
        best = hosts.most_specific(found, host)
        return found[best] if best is not None else None


def _by_port(services: Iterable[Service], ports: set[int] | None = None) -> dict[int, list[Service]]:
    """Services by port number, in their order; of ``ports`` only."""
    out: dict[int, list[Service]] = {}
    for service in services:
        for port in service.ports:
            if ports is None or port.number in ports:
                out.setdefault(port.number, []).append(service)
    return out


def hides_its_own(service: Service | None, namespace: str) -> bool:
    """Is it a Service of this namespace that is not exported to it?"""
    if service is None:
        return False
    return service.meta.namespace == namespace and not service.external_name and not service.visible_from(namespace)


def _with_ports(service: Service, numbers: set[int]) -> Service:
    return replace(service, ports=tuple(port for port in service.ports if port.number in numbers))


def _private(rule: DestinationRule) -> bool:
    return bool(rule.export_to) and rule.export_to <= {".", rule.meta.namespace}


def _selects(rule: DestinationRule, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in rule.selector)


def _rules_by_namespace(rules: Iterable[DestinationRule]) -> dict[str, dict[str, tuple[DestinationRule, ...]]]:
    grouped: dict[str, dict[str, list[DestinationRule]]] = defaultdict(lambda: defaultdict(list))
    for rule in rules:
        grouped[rule.meta.namespace][rule.host].append(rule)
    return {
        namespace: {host: merge(group) for host, group in by_host.items()} for namespace, by_host in grouped.items()
    }


def bound_to(found: Iterable[VirtualService], namespace: str, gateways: frozenset[str]) -> list[VirtualService]:
    """Those bound to one of the gateways (B1) and visible (B4, B12), in the order in which they take hosts.

    Private to the namespace, then exported to it by name, then public (B6); the oldest first in each (B5).
    """
    usable = [item for item in found if item.hosts and not gateways.isdisjoint(item.gateways)]

    def rank(item: VirtualService) -> int | None:
        if not item.export_to or "*" in item.export_to:
            return 2
        if not visible(item.export_to, item.meta.namespace, namespace):
            return None
        return 0 if item.meta.namespace == namespace else 1

    ranked = [(order, item.meta.age_key, item) for item in usable if (order := rank(item)) is not None]
    return [item for _order, _age, item in sorted(ranked, key=lambda entry: entry[:2])]
