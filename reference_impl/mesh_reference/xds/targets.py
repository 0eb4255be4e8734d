"""Where destinations lead, for one client: cluster names and consistent hashes. The lookups that routes need (B14, D3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh_reference.model.destination_rules import policy_for
from mesh_reference.xds import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh_reference.model.http_routes import Destination
    from mesh_reference.model.traffic_policies import ConsistentHash, TrafficPolicy
    from mesh_reference.xds.scopes import Scope


class ClientTargets:
    """Lookups in a scope with the client's labels."""

    def __init__(self, scope: Scope, labels: Mapping[str, str]) -> None:
        self._scope = scope
        self._labels = labels

    def cluster(self, destination: Destination, port: int) -> str:
        """The destination's port, else the listener's: in a sidecar every other Service port is out of sight (B14).

        Whether such a cluster exists is not asked: one that does not makes a 503 NC (F1).
        """
        host = self._scope.resolve_alias(destination.host)
        return names.outbound_cluster(host, destination.port or port, destination.subset)

    def l4_cluster(self, destination: Destination, port: int) -> str:
        """The same for connections, where the whole Service is in sight: its only port counts before the listener's."""
        host = self._scope.resolve_alias(destination.host)
        service = self._scope.snapshot.services.get(host)
        only = service.ports[0].number if service is not None and len(service.ports) == 1 else port
        return names.outbound_cluster(host, destination.port or only, destination.subset)

    def hash(self, destination: Destination) -> ConsistentHash | None:
        """Port settings count only for a destination that names its port; the subset's hash beats the host's."""
        rule = self._scope.destination_rule(destination.host, self._labels)
        if rule is None:
            return None
        subset = rule.subset(destination.subset) if destination.subset else None
        for policy in (subset.policy if subset else None, rule.policy):
            if policy is None:
                continue
            found = (_port_hash(policy, destination.port) if destination.port else None) or _own_hash(policy)
            if found:
                return found
        return None

    def service_hash(self, host: str, port: int) -> ConsistentHash | None:
        """The hash of a Service's default route."""
        rule = self._scope.destination_rule(host, self._labels)
        if rule is None or rule.policy is None:
            return None
        return _port_hash(rule.policy, port) or _own_hash(rule.policy)

    def policy(self, host: str, subset: str, port: int) -> TrafficPolicy:
        """The traffic policy of one cluster."""
        return policy_for(self._scope.destination_rule(host, self._labels), subset, port)


def _own_hash(policy: TrafficPolicy) -> ConsistentHash | None:
    return policy.load_balancer.hash if policy.load_balancer else None


def _port_hash(policy: TrafficPolicy, port: int) -> ConsistentHash | None:
    return next((_own_hash(entry) for number, entry in policy.ports if number == port), None)
