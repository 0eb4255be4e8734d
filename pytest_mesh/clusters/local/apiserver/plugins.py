"""What the admission plugins of a real API server do to a new Pod: account, priority, runtime class, tolerations.

It belongs to no field manager. Webhooks and the account's token are ``admission``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import defaults, errors

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.contracts import Json

CLASSES = "priorityclasses.scheduling.k8s.io"
SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
"""The priority classes that every cluster has."""


def admit(store: Store, info: ResourceInfo, obj: Json) -> None:
    """Change a new Pod (and a new Job) in place; raises StatusError 403 for what a plugin refuses."""
    if info.key == "jobs.batch":
        defaults.select_pods(obj)
    if info.key != "pods":
        return
    spec, name = obj["spec"], obj["metadata"]["name"]
    _prioritize(store, spec, name)
    runtime = spec.get("runtimeClassName")
    if runtime:
        raise errors.forbidden("pods", "", name, f'pod rejected: RuntimeClass "{runtime}" not found')
    if spec.get("overhead"):
        why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        raise errors.forbidden("pods", "", name, why)
    defaults.admit_pod(obj)


def _prioritize(store: Store, spec: Json, name: str) -> None:
    wanted, given, value, policy = spec.get("priorityClassName", ""), spec.get("priority"), 0, None
    if wanted in SYSTEM:
        value = SYSTEM[wanted]
    elif wanted:
        found = store.get(CLASSES, "", wanted)
        if found is None:
            raise errors.forbidden("pods", "", name, f"no PriorityClass with name {wanted} was found")
        value, policy = found.get("value", 0), found.get("preemptionPolicy")
    else:
        found = next((one for one in store.list(CLASSES) if one.get("globalDefault")), None)
        if found is not None:
            value, policy = found.get("value", 0), found.get("preemptionPolicy")
            spec["priorityClassName"] = found["metadata"]["name"]
    if given is not None and given != value:
        why = (
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
        )
        raise errors.forbidden("pods", "", name, why + f"computed {value} from the given PriorityClass name")
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy or "PreemptLowerPriority")
