"""Injection into whole manifests: finds the pod template of a workload and injects that. Pure.

The result for a pod template is what the webhook makes of the pods that the
workload's controller creates of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh_reference.errors import MeshError
from mesh_reference.injection.decision import decide
from mesh_reference.injection.injector import inject
from mesh_reference.injection.owner import Workload
from mesh_reference.injection.pod_shape import InjectionError, check_pod
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]

_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps/v1", "Deployment"): ("spec", "template"),
    ("apps/v1", "ReplicaSet"): ("spec", "template"),
    ("apps/v1", "DaemonSet"): ("spec", "template"),
    ("apps/v1", "StatefulSet"): ("spec", "template"),
    ("v1", "ReplicationController"): ("spec", "template"),
    ("apps.openshift.io/v1", "DeploymentConfig"): ("spec", "template"),
    ("batch/v1", "Job"): ("spec", "template"),
    ("batch/v1", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("v1", "Pod"): (),
}
"""Where each kind keeps its pod template; other kinds pass untouched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The object after injection; ``changed`` is False when it is the one that came in."""

    value: Any
    changed: bool
    notes: tuple[str, ...] = ()


def inject_object(value: Any, namespace: str, settings: InjectionSettings) -> Outcome:
    """One Kubernetes object, or a List of them; ``namespace`` counts where the object names none.

    Raises `InjectionError` for a workload that cannot be injected.
    """
    if not isinstance(value, dict):
        return Outcome(value=value, changed=False)
    if value.get("kind") == "List" and isinstance(value.get("items"), list):
        outcomes = [inject_object(item, namespace, settings) for item in value["items"]]
        return Outcome(
            value={**value, "items": [outcome.value for outcome in outcomes]},
            changed=any(outcome.changed for outcome in outcomes),
            notes=tuple(note for outcome in outcomes for note in outcome.notes),
        )
    place = _TEMPLATES.get((str(value.get("apiVersion")), str(value.get("kind"))))
    if place is None:
        return Outcome(value=value, changed=False, notes=_not_known(value))
    return _inject_template(value, place, namespace, settings)


def _not_known(value: Json) -> tuple[str, ...]:
    """A word on an object that holds a pod template in a kind we do not know: silence would look like success."""
    spec = value.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    pod = template.get("spec") if isinstance(template, dict) else None
    if not isinstance(pod, dict) or not isinstance(pod.get("containers"), list):
        return ()
    kind = f"{value.get('apiVersion')} {value.get('kind')}"
    return (f"Skipping {kind}: its pod template is not injected here, only the webhook can inject its pods",)


def _inject_template(value: Json, place: tuple[str, ...], namespace: str, settings: InjectionSettings) -> Outcome:
    kind, metadata = value["kind"], value.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InjectionError(f"{kind}: metadata: want a map")
    own_namespace = str(metadata.get("namespace") or namespace)
    name = f'{kind} "{own_namespace}/{metadata.get("name") or metadata.get("generateName") or ""}"'
    result = copy.deepcopy(value)
    template: Any = result
    for part in place:
        template = template.get(part) if isinstance(template, dict) else None
    if not isinstance(template, dict):
        raise InjectionError(f"{name}: {'.'.join(place)} is missing")
    workload = None
    if place:
        workload = Workload(
            api_version=value["apiVersion"], kind=kind, name=str(metadata.get("name") or ""), namespace=own_namespace
        )
    try:
        check_pod(template)
        decision = decide(template, own_namespace, settings)
        injected = inject(template, own_namespace, settings, workload=workload) if decision.inject else None
    except MeshError as problem:
        where = ".".join(place)
        raise InjectionError(f"{name}{', ' if where else ''}{where}: {problem}") from problem
    notes = (f"{name}: {decision.warning}",) if decision.warning else ()
    if injected is None:
        return Outcome(value=value, changed=False, notes=(*notes, f"Skipping injection of {name}: {decision.reason}"))
    template.clear()
    template.update(injected.pod)
    return Outcome(value=result, changed=True, notes=(*notes, *(f"{name}: {text}" for text in injected.warnings)))


def injectable_kinds() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(apiVersion, kind) of what is injected, with the path of the pod template."""
    return _TEMPLATES
