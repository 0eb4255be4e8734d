"""What a cluster held at a moment, and what must be done to hold it again: a comparison of two pictures of the store.

Pure but for fresh uids. A snapshot shares its objects with the store, which never changes one in place. What is wished
for is put back; what is reported stays with those who report it: the status of what node and controllers run, Endpoints,
Leases and their like, Events. Doing it is ``restoring``'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from pytest_mesh.clusters.local.apiserver import lifecycle, objects
from pytest_mesh.clusters.local.apiserver.deleting import CRDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_mesh.clusters.local.apiserver.store import Item, Store
    from pytest_mesh.contracts import Json

    Picture = Mapping[str, Mapping[tuple[str, str], Item]]
    """Items by the resource's key, then by namespace and name."""

    Place = tuple[str, str, str]
    """Key, namespace, name."""

RUN: Final = frozenset(
    (
        "pods", "nodes", "namespaces", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps",
        "jobs.batch", "cronjobs.batch",
    )
)  # fmt: skip
"""Kinds whose status the node and the controllers report."""

_LOG: Final = "events"
_LEASES: Final = "leases.coordination.k8s.io"
_ELECTION: Final = "control-plane.alpha.kubernetes.io/leader"
"""Annotation of an object that is a Lease in all but its kind."""
_MANAGED: Final = {
    "endpoints": "endpoints.kubernetes.io/managed-by",
    "endpointslices.discovery.k8s.io": "endpointslice.kubernetes.io/managed-by",
}
"""Labels of what controllers write from Services and Pods."""
_OVER: Final = ("Succeeded", "Failed")
_UID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What leads from one picture to another. An object that is both removed and made is replaced by one of another uid."""

    removed: tuple[Place, ...]
    """In the order in which they go: definitions last, namespaces before them."""
    made: tuple[tuple[str, Json], ...]
    """Key and object, definitions first, then namespaces."""
    changed: tuple[tuple[str, Json, Json], ...]
    """Key, the object as it is to be but for resource version and generation, and as it is."""


def picture(store: Store) -> dict[str, dict[tuple[str, str], Item]]:
    """Give what the store holds."""
    return {key: {(item.namespace, item.name): item for item in store.items(key)} for key in sorted(store.keys())}


def plan(was: Picture, now: Picture) -> Plan:
    """Give what has to be done so that ``was`` holds again."""
    removed, made, kept = _compared(was, now)
    fresh = {str(item.obj["metadata"]["uid"]): objects.new_uid() for _, item in made}
    standing = {str(item.obj["metadata"]["uid"]) for _, _, item in kept}
    kept_pods, orphans = _pods(was, now, standing)
    kept += kept_pods
    changed = []
    for key, before, item in kept:
        if before is None or before is item:
            obj = _renamed(item.obj, fresh) if _owned_by(item.obj, fresh) else item.obj
        else:
            obj = _renamed(before.obj, fresh)
        new = _put_back(key, obj, item.obj)
        if obj is not item.obj and not lifecycle.same(item.obj, new):
            changed.append((key, new, item.obj))
    ordered = sorted(made, key=lambda one: (one[0] != CRDS, one[0] != "namespaces", one[1].version))
    return Plan(
        removed=tuple(sorted([*removed, *orphans], key=lambda place: (place[0] == CRDS, place[0] == "namespaces"))),
        made=tuple((key, _made(key, _renamed(item.obj, fresh), item.obj)) for key, item in ordered),
        changed=tuple(sorted(changed, key=lambda one: one[0] != CRDS)),
    )


def _compared(
    was: Picture, now: Picture
) -> tuple[list[Place], list[tuple[str, Item]], list[tuple[str, Item | None, Item]]]:
    """Give what goes, what is made, and what stays (as it was, as it is): all but Pods that a controller made since."""
    removed: list[Place] = []
    made: list[tuple[str, Item]] = []
    kept: list[tuple[str, Item | None, Item]] = []
    lost = set(now.get("namespaces", {})) - set(was.get("namespaces", {}))
    lost_names = {name for _, name in lost}
    for key in {**was, **now}:
        before, after = was.get(key, {}), now.get(key, {})
        for place in {**before, **after}:
            old, new = before.get(place), after.get(place)
            if new is None:
                if old is not None and _comes_back(key, old.obj):
                    made.append((key, old))
            elif old is None:
                if place[0] in lost_names or not _stays_new(key, new.obj):
                    removed.append((key, *place))
                elif key != "pods":
                    kept.append((key, None, new))
            elif _is_reported(key, new.obj):
                kept.append((key, None, new))
            elif old is new or _is_the_same(key, old.obj, new.obj):
                kept.append((key, old, new))
            elif key != "pods" or _controller(old.obj) is None:
                removed.append((key, *place))
                made.append((key, old))
            elif _controller(new.obj) is None:
                removed.append((key, *place))
            # What its controller made again under the same name is judged with the other Pods of controllers.
    return removed, made, kept


def _pods(was: Picture, now: Picture, standing: set[str]) -> tuple[list[tuple[str, Item | None, Item]], list[Place]]:
    """Part the Pods that controllers made since in those whose controller stands, and those that go with theirs."""
    kept: list[tuple[str, Item | None, Item]] = []
    orphans: list[Place] = []
    before = was.get("pods", {})
    namespaces = {name for _, name in was.get("namespaces", {})}
    for place, item in now.get("pods", {}).items():
        old = before.get(place)
        since = old is None or old.obj["metadata"]["uid"] != item.obj["metadata"]["uid"]
        if not since or _controller(item.obj) is None or place[0] not in namespaces:
            continue
        if _controller(item.obj) in standing:
            kept.append(("pods", None, item))
        else:
            orphans.append(("pods", *place))
    return kept, orphans


def _comes_back(key: str, old: Json) -> bool:
    """Say whether an object that is gone is made again: not what was going then, a log, or a controller's own work."""
    if old["metadata"].get("deletionTimestamp") or key == _LOG or _is_managed(key, old):
        return False
    return key != "pods" or _controller(old) is None


def _stays_new(key: str, new: Json) -> bool:
    """Say whether an object that came since may stay in a namespace that does."""
    return key == _LOG or _is_managed(key, new) or (key == "pods" and _controller(new) is not None)


def _is_reported(key: str, obj: Json) -> bool:
    if key in (_LOG, _LEASES) or _is_managed(key, obj):
        return True
    return _ELECTION in (obj["metadata"].get("annotations") or {})


def _is_managed(key: str, obj: Json) -> bool:
    label = _MANAGED.get(key)
    return label is not None and label in (obj["metadata"].get("labels") or {})


def _is_the_same(key: str, old: Json, new: Json) -> bool:
    """Say whether an object lives on, so that changing it is enough."""
    before, after = old["metadata"], new["metadata"]
    if before["uid"] != after["uid"] and key != "nodes":
        return False
    if after.get("deletionTimestamp") and not before.get("deletionTimestamp"):
        return False
    return key != "pods" or _phase(old) in _OVER or _phase(new) not in _OVER or _controller(new) is not None


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _controller(obj: Json) -> str | None:
    """Give the uid of what controls an object."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), None)


def _owned_by(obj: Json, uids: Mapping[str, str]) -> bool:
    return any(owner["uid"] in uids for owner in obj["metadata"].get("ownerReferences") or ())


def _renamed(obj: Json, fresh: Mapping[str, str]) -> Json:
    """Give an object with every mention of an object that is made again by its new uid: owners, selectors, references."""
    if not fresh:
        return obj
    data = orjson.dumps(obj)
    if not any(uid in fresh for uid in _uids(data)):
        return obj
    renamed: Json = orjson.loads(_UID.sub(lambda found: fresh.get(found[0].decode(), found[0].decode()).encode(), data))
    return renamed


def _uids(data: bytes) -> Iterator[str]:
    return (found.decode() for found in _UID.findall(data))


def _put_back(key: str, old: Json, now: Json) -> Json:
    """Give an object as it was, with what is reported of it as it is."""
    metadata = {**old["metadata"], "uid": now["metadata"]["uid"], "resourceVersion": now["metadata"]["resourceVersion"]}
    if "generation" in now["metadata"]:
        metadata["generation"] = now["metadata"]["generation"]
    new = {**old, "metadata": metadata}
    if key in RUN:
        new.pop("status", None)
        if "status" in now:
            new["status"] = now["status"]
    if key == "pods" and not new["spec"].get("nodeName") and now["spec"].get("nodeName"):
        new["spec"] = {**new["spec"], "nodeName": now["spec"]["nodeName"]}
    return new


def _made(key: str, obj: Json, old: Json) -> Json:
    """Give an object that is made again: of what is reported it has nothing, but for work that was done."""
    new = {**obj, "metadata": dict(obj["metadata"])}
    status = old.get("status") or {}
    if key == "namespaces":
        new["status"] = {"phase": "Active"}
    elif key == "pods":
        if _phase(old) not in _OVER:
            new["status"] = {"phase": "Pending", "qosClass": lifecycle.qos_class(old.get("spec") or {})}
    elif (
        key in RUN
        and key != "nodes"
        and not (key == "jobs.batch" and (status.get("completionTime") or status.get("failed")))
    ):
        new["status"] = {}
    return new
