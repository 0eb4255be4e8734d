"""Locality load balancing: weights and priorities of endpoints by how near they are to the client (D6-D8). Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mesh_reference.model.endpoints import REGION, SUBZONE, ZONE, Locality
from mesh_reference.model.traffic_policies import LocalitySetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.services import Service
    from mesh_reference.model.traffic_policies import TrafficPolicy

EVERYWHERE: Locality = ("", "", "")
MESH_DEFAULT = LocalitySetting()
"""Istio's mesh config has it on: it shows only where outlier detection tells who is down."""
_NEAR = (REGION, ZONE, SUBZONE)
_DISTRIBUTIONS = {"PreferClose": _NEAR, "PreferSameZone": _NEAR, "PreferSameNode": (*_NEAR, "kubernetes.io/hostname")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The client: what it compares endpoints with."""

    locality: Locality = EVERYWHERE
    labels: tuple[tuple[str, str], ...] = ()


NOWHERE = Where()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Endpoints of one locality and one priority, each with its port number. ``weight`` is the group's share."""

    locality: Locality
    members: tuple[tuple[Endpoint, int], ...]
    weight: int
    priority: int = 0


def effective(policy: TrafficPolicy, service: Service) -> tuple[LocalitySetting | None, bool]:
    """The setting in force, and whether it counts without outlier detection.

    The DestinationRule's replaces the others wholly; without one the Service's own wish, then the mesh's (D8).
    """
    own = policy.load_balancer.locality if policy.load_balancer else None
    if own is not None:
        return (own if own.enabled else None), False
    keys = _DISTRIBUTIONS.get(service.traffic_distribution)
    if keys is not None:
        return LocalitySetting(priorities=keys), True
    return MESH_DEFAULT, False


def groups(
    members: Iterable[tuple[Endpoint, int]], policy: TrafficPolicy, service: Service, where: Where
) -> list[Group]:
    """The members by locality, with the weights and priorities that this client sees."""
    by_locality: dict[Locality, list[tuple[Endpoint, int]]] = {}
    for member in members:
        by_locality.setdefault(member[0].locality, []).append(member)
    found = [
        Group(locality=locality, members=tuple(inside), weight=sum(endpoint.weight for endpoint, _port in inside))
        for locality, inside in sorted(by_locality.items())
    ]
    setting, forced = effective(policy, service)
    if setting is None:
        return found
    if setting.distribute:
        return _distributed(found, setting, where)
    if not forced and policy.outlier is None:
        return found  # D7: nobody can tell that an endpoint is down
    if setting.priorities:
        return _closed_up(_by_labels(found, setting.priorities, where))
    return _closed_up([replace(group, priority=_distance(group.locality, setting, where)) for group in found])


def is_weighted(policy: TrafficPolicy, service: Service) -> bool:
    """Do the groups' weights count for this cluster?"""
    setting, forced = effective(policy, service)
    return setting is not None and (bool(setting.distribute) or policy.outlier is not None or forced)


def _distributed(found: list[Group], setting: LocalitySetting, where: Where) -> list[Group]:
    """D6: shares by locality; a locality that no rule names gets nothing. The narrowest rule takes a locality."""
    shares = next((to for origin, to in setting.distribute if _within(where.locality, origin)), None)
    if shares is None:
        return found
    rest, out = list(found), []
    for pattern, percent in sorted(shares, key=lambda item: (item[0].count("*"), -len(item[0]), item[0])):
        inside = [group for group in rest if _within(group.locality, pattern)]
        total = sum(group.weight for group in inside)
        rest = [group for group in rest if group not in inside]
        out += [replace(group, weight=math.ceil(group.weight * percent / total)) for group in inside if percent]
    return sorted(out, key=lambda group: group.locality)


def _distance(locality: Locality, setting: LocalitySetting, where: Where) -> int:
    """0 the same subzone, 1 zone, 2 region, 3 elsewhere; 4 elsewhere where failover names another region (D7)."""
    mine = where.locality
    for level in (3, 2, 1):
        if locality[:level] == mine[:level]:
            return 3 - level
    wanted = next((to for origin, to in setting.failover if origin == mine[0]), None)
    return 3 if wanted in {None, locality[0]} else 4


def _by_labels(found: list[Group], keys: Sequence[str], where: Where) -> list[Group]:
    """Priority = how many of the keys, counted from the last, differ: all alike is 0 (D7)."""
    mine = {**_topology(where.locality), **dict(where.labels)}
    out = []
    for group in found:
        by_priority: dict[int, list[tuple[Endpoint, int]]] = {}
        for endpoint, port in group.members:
            theirs = {**_topology(endpoint.locality), **endpoint.labels}
            by_priority.setdefault(_differing(keys, mine, theirs), []).append((endpoint, port))
        for priority, members in sorted(by_priority.items()):
            weight = sum(endpoint.weight for endpoint, _port in members)
            out.append(replace(group, members=tuple(members), weight=weight, priority=priority))
    return out


def _differing(keys: Sequence[str], mine: Mapping[str, str], theirs: Mapping[str, str]) -> int:
    for index, text in enumerate(keys):
        key, fixed, value = text.partition("=")
        if theirs.get(key, "") != (value if fixed else mine.get(key, "")):
            return len(keys) - index
    return 0


def _closed_up(found: list[Group]) -> list[Group]:
    """Envoy wants priorities from 0 without a gap."""
    order = {priority: index for index, priority in enumerate(sorted({group.priority for group in found}))}
    return [replace(group, priority=order[group.priority]) for group in found]


def _topology(locality: Locality) -> dict[str, str]:
    return dict(zip(_NEAR, locality, strict=True))


def _within(locality: Locality, pattern: str) -> bool:
    """``region/zone/subzone``; ``*`` and what is left out stand for anything."""
    wanted = [*pattern.split("/"), "", ""][:3]
    alike = wanted[0] in {"*", locality[0]}
    return alike and all(text in {"*", "", mine} for text, mine in zip(wanted[1:], locality[1:], strict=True))
