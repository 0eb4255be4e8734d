"""Rules about load balancing in a traffic policy (rows V48 to V51)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.model.schema.duration import MILLISECOND, parse_duration
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import check_duration

Json = Mapping[str, Any]

_MAGLEV_LIMIT = 5000011
_TOPOLOGY_LABELS = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)


def check_load_balancer(out: Findings, path: Path, settings: Json | None, outlier: Json | None) -> None:
    """``loadBalancer``; failover needs the ``outlier`` detection of the same policy."""
    if settings is None:
        return
    _check_consistent_hash(out, (*path, "consistentHash"), settings.get("consistentHash"))
    locality, zone_aware = settings.get("localityLbSetting"), settings.get("zoneAwareLbSetting")
    if locality is not None and zone_aware is not None:
        message = "only one of localityLbSetting and zoneAwareLbSetting can be set"
        out.error((*path, "zoneAwareLbSetting"), "V51h", message)
    _check_locality(out, (*path, "localityLbSetting"), locality, outlier)
    _check_zone_aware(out, (*path, "zoneAwareLbSetting"), zone_aware, outlier)
    _check_warmup(out, (*path, "warmup"), settings.get("warmup"))
    deprecated = settings.get("warmupDurationSecs")
    if deprecated is not None and parse_duration(deprecated) < MILLISECOND:
        out.error((*path, "warmupDurationSecs"), "V27a", "duration must be greater than 1ms")


def _check_consistent_hash(out: Findings, path: Path, setting: Json | None) -> None:
    if setting is None:
        return
    cookie = setting.get("httpCookie")
    if cookie is not None:
        _check_cookie(out, (*path, "httpCookie"), cookie)
    if setting.get("minimumRingSize"):
        here = (*path, "minimumRingSize")
        message = "consistent hash MinimumRingSize is deprecated, use ConsistentHashLB's RingHash configuration instead"
        out.warning(here, "V49w", message)
        if setting.get("ringHash") is not None or setting.get("maglev") is not None:
            out.error(here, "V49", "only one of MinimumRingSize or Maglev/Ringhash can be specified")
    if setting.get("maglev") is not None:
        here, size = (*path, "maglev", "tableSize"), int(setting["maglev"].get("tableSize") or 0)
        if size == 0:
            out.error(here, "V48b", "tableSize must be set for maglev")
        if size >= _MAGLEV_LIMIT:
            out.error(here, "V48c", f"tableSize must be less than {_MAGLEV_LIMIT} for maglev")
        if size and not _is_prime(size):
            out.error(here, "V48d", "tableSize must be a prime number for maglev")


def _check_cookie(out: Findings, path: Path, cookie: Json) -> None:
    if not cookie.get("name"):
        out.error((*path, "name"), "V48a", "name required for HttpCookie")
    names: set[str] = set()
    for index, attribute in enumerate(cookie.get("attributes") or ()):
        here, name = (*path, "attributes", index, "name"), attribute.get("name") or ""
        if not name:
            out.error(here, "V48e", "cookie attribute name cannot be empty")
        elif name in names:
            out.error(here, "V48f", f"duplicate cookie attribute name: {name}")
        names.add(name)


def _is_prime(number: int) -> bool:
    """As Envoy reckons: 1 counts as prime."""
    if 0 < number < 4:
        return True
    if number % 2 == 0:
        return False
    return all(number % factor for factor in range(3, min(math.isqrt(number), 10**5) + 1, 2))


def _check_locality(out: Findings, path: Path, setting: Json | None, outlier: Json | None) -> None:
    if setting is None:
        return
    distribute, failover = setting.get("distribute") or (), setting.get("failover") or ()
    priority = setting.get("failoverPriority") or ()
    if distribute and failover:
        out.error(path, "V51a", "can not simultaneously specify 'distribute' and 'failover'")
        return
    for index, label in enumerate(priority if failover else ()):
        if label in _TOPOLOGY_LABELS:
            message = f"can not simultaneously set 'failover' and topology label '{label}' in 'failover_priority'"
            out.error((*path, "failoverPriority", index), "V51b", message)
            return
    for index, entry in enumerate(distribute):
        here, targets = (*path, "distribute", index, "to"), entry.get("to") or {}
        for name, weight in targets.items():
            if not 1 <= weight <= 100:
                out.error((*here, name), "V51c", "locality weight must be in range [1, 100]")
                return
        total = sum(targets.values())
        if total != 100:
            out.error(here, "V51d", f"total locality weight {total} != 100")
            return
        _check_overlap(out, here, targets)
    _check_overlap(out, (*path, "distribute"), [entry.get("from") or "" for entry in distribute])
    if (failover or priority) and outlier is None:
        out.warning(path, "V51w", "outlier detection policy must be provided for failover")
    for index, entry in enumerate(failover):
        _check_failover(out, (*path, "failover", index), entry, "locality lb", "only specify region")


def _check_failover(out: Findings, path: Path, entry: Json, kind: str, only_region: str) -> None:
    source, target = entry.get("from") or "", entry.get("to") or ""
    if source == target:
        out.error(path, "V51e", f"{kind} failover settings must specify different regions")
    if "/" in source or "/" in target:
        out.error(path, "V51f", f"{kind} failover {only_region}")
    if "*" in source or "*" in target:
        out.error(path, "V51g", f"{kind} failover region should not contain '*' wildcard")


def _check_zone_aware(out: Findings, path: Path, setting: Json | None, outlier: Json | None) -> None:
    if setting is None:
        return
    failover, priority = setting.get("failover") or (), setting.get("failoverPriority") or ()
    for index, label in enumerate(priority):
        if label in _TOPOLOGY_LABELS:
            out.error(
                (*path, "failoverPriority", index),
                "V51j",
                f"'failover_priority' for zone aware lb must not use topology label '{label}'; "
                "region- and zone-level routing are handled automatically",
            )
    if (failover or priority) and outlier is None:
        out.warning(path, "V51w", "outlier detection policy must be provided for failover")
    for index, entry in enumerate(failover):
        words = "only specifies region; zone and subzone failover are handled automatically"
        _check_failover(out, (*path, "failover", index), entry, "zone aware lb", words)


def _check_overlap(out: Findings, path: Path, localities: Iterable[str]) -> None:
    """``region/zone/subzone`` names, none of which covers one that came before."""
    seen: list[list[str]] = []
    for locality in localities:
        stars = locality.count("*")
        parts = locality.split("/", 2)
        if stars > 1 or (stars and not locality.endswith("*")):
            message = f"locality {locality} wildcard '*' number can not exceed 1 and must be in the end"
            out.error(path, "V51i", message)
            return
        if "" in parts:
            out.error(path, "V51i", f"locality {locality} must not contain empty region/zone/subzone info")
            return
        parts = [part for part in parts if part != "*"]
        if any(_prefix(parts, other) for other in seen):
            out.error(path, "V51i", f"locality {locality} overlap with previous specified ones")
            return
        seen.append(parts)


def _prefix(one: list[str], other: list[str]) -> bool:
    short = min(len(one), len(other))
    return one[:short] == other[:short]


def _check_warmup(out: Findings, path: Path, warmup: Json | None) -> None:
    if warmup is None:
        return
    if warmup.get("duration") is None:
        out.error((*path, "duration"), "V50a", "duration is required")
    check_duration(out, (*path, "duration"), warmup.get("duration"))
    if (warmup.get("minimumPercent") or 0) > 100:
        message = "minimumPercent value should be less than or equal to 100"
        out.error((*path, "minimumPercent"), "V50b", message)
    if warmup.get("aggression") is not None and warmup["aggression"] <= 0:
        out.error((*path, "aggression"), "V50c", "aggression should be greater than 0")
