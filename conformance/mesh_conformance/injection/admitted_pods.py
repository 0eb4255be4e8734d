"""What an API server makes of a Pod: created as a dry run, so that admission answers and nothing starts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.namespace import MeshNamespace

TEMPLATE_HASH = "5d4f8c7b9d"
"""Stands for the hash that a ReplicaSet's name and its pods carry."""
OWNER_ENV = ("ISTIO_META_WORKLOAD_NAME", "ISTIO_META_OWNER")
"""Variables by which Istio's webhook names the workload that owns the Pod."""
_RUN_OF_THE_SERVER = ("uid", "creationTimestamp", "managedFields", "resourceVersion", "namespace", "name")


def read_one(name: str) -> Json:
    """Give the one document of a file beside the checks."""
    (document,) = documents.read(Path(__file__).parent / name)
    return document


def admitted(namespace: MeshNamespace, pod: Json) -> Json:
    """Give the Pod as the API server would store it in this namespace, webhooks and defaults applied."""
    document = copy.deepcopy(pod)
    document["metadata"]["namespace"] = namespace.name
    namespace.record.applied.append(document)
    return namespace.kube.create(f"/api/v1/namespaces/{namespace.name}/pods", document, dryRun="All")


def replica(deployment: Json, template: Json) -> Json:
    """Give the Pod that the Deployment's ReplicaSet makes of ``template``."""
    name = f"{deployment['metadata']['name']}-{TEMPLATE_HASH}"
    metadata = copy.deepcopy(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), "pod-template-hash": TEMPLATE_HASH}
    metadata["generateName"] = f"{name}-"
    metadata["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": name,
            "uid": "00000000-0000-4000-8000-000000000001",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template["spec"])}


def comparable(pod: Json) -> Json:
    """Give what of a Pod injection decides: without status, and without what differs from one creation to the next."""
    kept = {key: value for key, value in pod.items() if key in {"metadata", "spec"}}
    kept["metadata"] = {key: value for key, value in pod["metadata"].items() if key not in _RUN_OF_THE_SERVER}
    return kept


def without_owner(online: Json, offline: Json) -> Json:
    """Give the Pod without the variables that name its owner where the offline one lacks them: a file has no owner."""
    known = {(one["name"], env["name"]) for one in _containers(offline) for env in one.get("env") or ()}
    changed = copy.deepcopy(online)
    for one in _containers(changed):
        if "env" in one:
            one["env"] = [
                env for env in one["env"] if env["name"] not in OWNER_ENV or (one["name"], env["name"]) in known
            ]
    return changed


def _containers(pod: Json) -> list[Json]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Name each place where two JSON values differ, left first. Pure."""
    if isinstance(left, dict) and isinstance(right, dict):
        return [
            line
            for key in sorted({*left, *right})
            for line in differences(left.get(key), right.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            line
            for index, (one, other) in enumerate(zip(left, right, strict=True))
            for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if left == right else [f"{path}: {left!r} against {right!r}"]
