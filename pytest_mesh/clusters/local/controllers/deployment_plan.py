"""What one look at a Deployment calls for: ReplicaSets to make, scale or forget, and its status.

Pure: (Deployment, its ReplicaSets, time) -> Plan. Rolling update and Recreate as
kube-controller-manager does them, save for proportional scaling of a paused
rollout: there the newest ReplicaSet takes the difference.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.controllers.deployment_status import bounds, count, deadline, status_of, total
from pytest_mesh.clusters.local.controllers.objects import is_being_deleted, labels_of, owner_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pytest_mesh.contracts import Json

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {REVISION, _DESIRED, _MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of a template's hash: no vowels and no 0, 1, 3, so that it spells nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in this order; ``scale`` and ``annotate`` are by ReplicaSet name."""

    create: Json | None = None
    scale: Mapping[str, int] = field(default_factory=dict)
    annotate: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    revision: str = ""
    status: Json
    again: float | None = None
    """Seconds until the progress deadline."""


def plan(deployment: Json, replica_sets: Sequence[Json], now: datetime) -> Plan:
    """Decide over the ReplicaSets that this Deployment controls."""
    spec = deployment["spec"]
    alive = [item for item in replica_sets if not is_being_deleted(item)]
    newest = current_replica_set(deployment, alive)
    old = [item for item in alive if item is not newest]
    if is_being_deleted(deployment):
        return Plan(status=status_of(deployment, newest, alive, now))
    revision = str(max((_revision(item) for item in old), default=0) + 1)
    if newest is not None:
        revision = str(max(int(revision), _revision(newest)))
    create = None
    scale: dict[str, int] = {}
    if newest is None and not spec.get("paused"):
        create = new_replica_set(deployment, _first_size(deployment, old), revision)
    if newest is not None or spec.get("paused"):
        scale = _scaling(deployment, newest, old)
    annotate = {} if newest is None else _annotations(deployment, newest, revision)
    after = [
        {**item, "spec": {**item["spec"], "replicas": scale.get(item["metadata"]["name"], item["spec"]["replicas"])}}
        for item in alive
    ]
    status = status_of(deployment, current_replica_set(deployment, after), after, now, created=create is not None)
    return Plan(
        create=create,
        scale=scale,
        annotate=annotate,
        delete=_forgotten(deployment, old, settled=create is None and not scale),
        revision=revision if newest is not None or create is not None else "",
        status=status,
        again=deadline(spec, status, now),
    )


def current_replica_set(deployment: Json, replica_sets: Iterable[Json]) -> Json | None:
    """Give the oldest ReplicaSet with the Deployment's template (its hash label aside)."""
    template = _bare(deployment["spec"]["template"])
    fitting = [item for item in replica_sets if _bare(item["spec"]["template"]) == template]
    return min(
        fitting, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]), default=None
    )


def template_hash(template: Json, collisions: int) -> str:
    """Give ten letters that stand for this template."""
    digest = hashlib.blake2b(f"{_sorted(template)}/{collisions}".encode(), digest_size=10).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)


def new_replica_set(deployment: Json, size: int, revision: str) -> Json:
    """Give the ReplicaSet to create for the Deployment's present template."""
    spec = deployment["spec"]
    metadata = deployment["metadata"]
    template = spec["template"]
    digest = template_hash(template, (deployment.get("status") or {}).get("collisionCount") or 0)
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    selector = spec["selector"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": _wanted_annotations(deployment, revision),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": size,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
        },
    }


def _scaling(deployment: Json, newest: Json | None, old: Sequence[Json]) -> dict[str, int]:
    spec = deployment["spec"]
    wanted = spec.get("replicas", 1)
    if spec.get("paused"):
        return _paused_scaling(wanted, newest, old)
    if newest is None:
        return {}
    scale: dict[str, int] = {}
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        scale = {item["metadata"]["name"]: 0 for item in old if item["spec"]["replicas"]}
        if not scale and not total(old, "replicas"):
            _resize(scale, newest, wanted)
        return scale
    surge, unavailable = bounds(deployment)
    size = newest["spec"]["replicas"]
    present = size + sum(item["spec"]["replicas"] for item in old)
    if size > wanted:
        _resize(scale, newest, wanted)
    elif size < wanted and present < wanted + surge:
        _resize(scale, newest, size + min(wanted + surge - present, wanted - size))
    if not scale:
        _shrink_old(scale, newest, old, present, wanted - unavailable)
    return scale


def _shrink_old(scale: dict[str, int], newest: Json, old: Sequence[Json], present: int, minimum: int) -> None:
    """Take from old ReplicaSets first what is broken anyway, then what availability can spare."""
    not_available_new = newest["spec"]["replicas"] - count(newest, "availableReplicas")
    spare = present - minimum - not_available_new
    if spare <= 0:
        return
    ordered = sorted(old, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))
    sizes = {item["metadata"]["name"]: item["spec"]["replicas"] for item in ordered}
    for item in ordered:
        name = item["metadata"]["name"]
        broken = min(max(0, sizes[name] - count(item, "availableReplicas")), spare)
        sizes[name] -= broken
        spare -= broken
    available = sum(min(count(item, "availableReplicas"), item["spec"]["replicas"]) for item in [newest, *old])
    spare = min(spare, available - minimum)
    for item in ordered:
        name = item["metadata"]["name"]
        taken = min(sizes[name], max(0, spare))
        sizes[name] -= taken
        spare -= taken
    for item in ordered:
        _resize(scale, item, sizes[item["metadata"]["name"]])


def _paused_scaling(wanted: int, newest: Json | None, old: Sequence[Json]) -> dict[str, int]:
    active = [item for item in ([newest] if newest else []) + list(old) if item["spec"]["replicas"]]
    target = newest if newest is not None else max(active, key=_revision, default=None)
    if target is None:
        return {}
    scale: dict[str, int] = {}
    others = sum(item["spec"]["replicas"] for item in active if item is not target)
    _resize(scale, target, max(0, wanted - others))
    return scale


def _first_size(deployment: Json, old: Sequence[Json]) -> int:
    wanted: int = deployment["spec"].get("replicas", 1)
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        busy = any(item["spec"]["replicas"] or count(item, "replicas") for item in old)
        return 0 if busy else wanted
    surge, _ = bounds(deployment)
    others = sum(item["spec"]["replicas"] for item in old)
    size: int = max(0, min(wanted, wanted + surge - others))
    return size


def _forgotten(deployment: Json, old: Sequence[Json], *, settled: bool) -> tuple[str, ...]:
    """Give the old ReplicaSets beyond revisionHistoryLimit that hold nothing any more."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    empty = sorted(
        (item for item in old if not item["spec"]["replicas"] and not count(item, "replicas")), key=_revision
    )
    if not settled or len(empty) <= limit:
        return ()
    return tuple(item["metadata"]["name"] for item in empty[: len(empty) - limit])


def _annotations(deployment: Json, newest: Json, revision: str) -> dict[str, Mapping[str, str]]:
    wanted = _wanted_annotations(deployment, revision)
    have = newest["metadata"].get("annotations") or {}
    missing = {name: value for name, value in wanted.items() if have.get(name) != value}
    return {newest["metadata"]["name"]: missing} if missing else {}


def _wanted_annotations(deployment: Json, revision: str) -> dict[str, str]:
    wanted = deployment["spec"].get("replicas", 1)
    own = deployment["metadata"].get("annotations") or {}
    recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    return {
        **{name: value for name, value in own.items() if name not in _NOT_COPIED},
        REVISION: revision,
        _DESIRED: str(wanted),
        _MAXIMUM: str(wanted if recreate else wanted + bounds(deployment)[0]),
    }


def _revision(item: Json) -> int:
    return int((item["metadata"].get("annotations") or {}).get(REVISION) or 0)


def _resize(scale: dict[str, int], item: Json, size: int) -> None:
    if item["spec"]["replicas"] != size:
        scale[item["metadata"]["name"]] = size


def _bare(template: Json) -> Json:
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = {name: value for name, value in labels_of(template).items() if name != HASH_LABEL}
    return {**template, "metadata": metadata}


def _sorted(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{_sorted(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_sorted, value)) + "]"
    return repr(value)
