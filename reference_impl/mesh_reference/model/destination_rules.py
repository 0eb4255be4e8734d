"""DestinationRule as typed values, its reading, and the merging of several for one host (§1.7).

Which DestinationRules a client may use is decided in ``xds.scopes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.model.hosts import resolve
from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.destination_rule import DESTINATION_RULE
from mesh_reference.model.traffic_policies import LocalitySetting, TrafficPolicy, effective, read_traffic_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Pods of the host that have all of ``labels`` (D1)."""

    name: str
    labels: tuple[tuple[str, str], ...]
    policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule:
    """One DestinationRule, or several merged: then ``refs`` names them all and ``meta`` is the oldest's."""

    meta: Metadata
    host: str
    policy: TrafficPolicy | None
    subsets: tuple[Subset, ...]
    export_to: frozenset[str]
    selector: tuple[tuple[str, str], ...] = ()
    """Labels of the client's Pod; empty = all Pods (D15)."""
    refs: tuple[tuple[str, str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """May its endpoints differ by where the client is (D6, D7)?"""
        return any(policy.outlier is not None or _locality(policy) is not None for policy in self._policies())

    @property
    def locality_keys(self) -> frozenset[str]:
        """Labels of the client that its failover priorities look at."""
        found = (_locality(policy) for policy in self._policies())
        return frozenset(text for setting in found if setting is not None for text in setting.priorities)

    def _policies(self) -> Iterator[TrafficPolicy]:
        for policy in (self.policy, *(subset.policy for subset in self.subsets)):
            if policy is not None:
                yield policy
                yield from (entry for _port, entry in policy.ports)

    def subset(self, name: str) -> Subset | None:
        return next((subset for subset in self.subsets if subset.name == name), None)


def _locality(policy: TrafficPolicy) -> LocalitySetting | None:
    return policy.load_balancer.locality if policy.load_balancer else None


def policy_for(rule: DestinationRule | None, subset: str, port: int) -> TrafficPolicy:
    """What applies to one port of the host, through one subset ("" = none)."""
    if rule is None:
        return TrafficPolicy()
    chosen = rule.subset(subset) if subset else None
    return effective(rule.policy, chosen.policy if chosen else None, port)


def merge(rules: Sequence[DestinationRule]) -> tuple[DestinationRule, ...]:
    """Merge rules of one host in one namespace, oldest first: subsets concatenate and the first of a name wins, the first
    policy wins. Rules with another ``exportTo`` or selector than the oldest stay apart.
    """
    merged: list[DestinationRule] = []
    for rule in sorted(rules, key=lambda item: item.meta.age_key):
        for index, into in enumerate(merged):
            if into.export_to == rule.export_to and into.selector == rule.selector:
                merged[index] = _merge_two(into, rule)
                break
        else:
            merged.append(rule)
    return tuple(merged)


def _merge_two(first: DestinationRule, second: DestinationRule) -> DestinationRule:
    names = {subset.name for subset in first.subsets}
    return DestinationRule(
        meta=first.meta,
        host=first.host,
        policy=first.policy or second.policy,
        subsets=first.subsets + tuple(subset for subset in second.subsets if subset.name not in names),
        export_to=first.export_to,
        selector=first.selector,
        refs=first.refs + second.refs,
    )


def read_destination_rule(obj: Mapping[str, Any], domain: str) -> DestinationRule:
    """Read the resource. Raises InvalidConfig when it cannot be served."""
    meta = read_metadata(obj)
    spec, origin = open_spec(obj, DESTINATION_RULE)
    if not spec.get("host"):
        raise spec.invalid("a DestinationRule needs a host", "host")
    selector = spec.fields("workloadSelector").pairs("matchLabels")
    policy = read_traffic_policy(spec.optional("trafficPolicy"))
    subsets = tuple(
        Subset(
            name=item.get("name", ""),
            labels=item.pairs("labels"),
            policy=read_traffic_policy(item.optional("trafficPolicy")),
        )
        for item in spec.each("subsets")
    )
    return DestinationRule(
        meta=meta,
        host=resolve(spec["host"], meta.namespace, domain),
        policy=policy,
        subsets=subsets,
        # D15: a rule with a selector is private to its namespace.
        export_to=frozenset({"."}) if selector else frozenset(spec.texts("exportTo")),
        selector=selector,
        refs=(meta.ref,),
        warnings=tuple(origin.warnings),
    )
