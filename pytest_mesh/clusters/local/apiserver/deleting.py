"""Deletion: preconditions, grace, finalizers, and a CRD's instances.

What follows from an object's end elsewhere (dependents, a namespace's content) is the
controllers' work; this module leaves them the finalizers that they act upon.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import conversion, errors, lifecycle, objects, requests

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.requests import Target, WriteOptions
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

logger = logging.getLogger(__name__)

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
POLICIES = ("Background", "Foreground", "Orphan")


async def delete(server: Server, target: Target, asked: Json, options: WriteOptions) -> tuple[Json, list[str]]:
    """Delete an object or begin its end; gives the object, or a ``Status`` when it is gone at once."""
    info = target.info
    while True:
        item = server.store.item(info.key, target.namespace, target.name)
        if item is None:
            raise errors.not_found(info.plural, info.group, target.name)
        old = conversion.served(item.obj, info)
        _check(info, old, asked)
        _, warnings = await server.admission.admit(
            "DELETE",
            info,
            None,
            old,
            namespace=target.namespace,
            name=target.name,
            user=options.user,
            dry_run=options.dry_run,
        )
        if server.store.item(info.key, target.namespace, target.name) is item:
            break
    new = marked(info, old, asked)
    if options.dry_run:
        return (_gone(info, old) if lifecycle.is_over(info, new) and info.key != "pods" else new), warnings
    if lifecycle.is_over(info, new):
        if not old["metadata"].get("deletionTimestamp") and info.key != "pods":
            # What goes at once was never marked.
            marks = ("deletionTimestamp", "deletionGracePeriodSeconds")
            metadata = {name: value for name, value in new["metadata"].items() if name not in marks}
            new = {**new, "metadata": metadata}
        final = remove(server, info, new)
        # These give back the object itself, as kube-apiserver does.
        return (final if info.key in ("pods", "services", "serviceaccounts") else _gone(info, old)), warnings
    if lifecycle.same(old, new):
        return old, warnings
    stored = server.store.put(info.key, conversion.stored(new, info)).obj
    if info.key == CRDS:
        _end_instances(server, stored)
    return conversion.served(stored, info), warnings


def read_options(body: bytes, content_type: str) -> Json:
    """Read the body of a deletion; raises StatusError 422 or 500, as Kubernetes does for what it cannot read here."""
    if not body:
        return {}
    try:
        asked = requests.read_object(body, content_type)
    except errors.StatusError as error:
        raise errors.StatusError(500, "", error.message) if error.code == 400 else error from error
    kind, version = asked.get("kind") or "DeleteOptions", asked.get("apiVersion") or "meta.k8s.io/v1"
    if kind != "DeleteOptions":
        text = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:110"'
        raise errors.StatusError(500, "", text)
    causes = requests.dry_run_faults(asked.get("dryRun") or ())
    if asked.get("orphanDependents") is not None and asked.get("propagationPolicy") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        causes.insert(
            0, errors.Cause(field="propagationPolicy", message=f'Invalid value: "{asked["propagationPolicy"]}": {why}')
        )
    if causes:
        raise errors.invalid("DeleteOptions", "meta.k8s.io", "", causes)
    return asked


def _check(info: ResourceInfo, old: Json, asked: Json) -> None:
    metadata = old["metadata"]
    name = metadata["name"]
    if info.key == "namespaces" and name in lifecycle.FOREVER:
        raise errors.forbidden(info.plural, info.group, name, "this namespace may not be deleted")
    policy = asked.get("propagationPolicy")
    if policy is not None and policy not in POLICIES:
        allowed = '"Foreground", "Background", "Orphan", "nil"'
        cause = errors.Cause(
            field="propagationPolicy",
            message=f'Unsupported value: "{policy}": supported values: {allowed}',
            reason="FieldValueNotSupported",
        )
        raise errors.invalid("DeleteOptions", "meta.k8s.io", "", [cause])
    conditions = asked.get("preconditions") or {}
    for field, shown in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, actual = conditions.get(field), metadata[field]
        if wanted and wanted != actual:
            end = "been deleted and then recreated" if field == "uid" else "been modified"
            why = (
                f"the {shown} in the precondition ({wanted}) does not match the {shown} in record ({actual}). "
                f"The object might have {end}"
            )
            raise errors.conflict(info.kind, info.group, name, why)


def marked(info: ResourceInfo, old: Json, asked: Json) -> Json:
    """Give the object as its deletion leaves it: marked with time and grace, held by finalizers."""
    new = {**old, "metadata": dict(old["metadata"])}
    metadata = new["metadata"]
    grace = _grace(old, asked) if info.key == "pods" else 0
    policy = asked.get("propagationPolicy") or ("Orphan" if asked.get("orphanDependents") else "")
    finalizers = [name for name in metadata.get("finalizers", ()) if name not in (FOREGROUND, ORPHAN) or not policy]
    finalizers += {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
    if finalizers != metadata.get("finalizers", []):
        metadata["finalizers"] = finalizers
    if not finalizers:
        metadata.pop("finalizers", None)
    if metadata.get("deletionTimestamp"):
        if grace < metadata.get("deletionGracePeriodSeconds", 0):
            metadata["deletionGracePeriodSeconds"] = grace
            metadata["deletionTimestamp"] = objects.timestamp(grace)
        return new
    metadata["deletionTimestamp"] = objects.timestamp(grace)
    if info.key == CRDS and lifecycle.CRD_FINALIZER not in finalizers:
        metadata["finalizers"] = [*finalizers, lifecycle.CRD_FINALIZER]
    if info.key != "namespaces":
        metadata["deletionGracePeriodSeconds"] = grace
    if "generation" in metadata:
        metadata["generation"] += 1
    if info.key == "namespaces":
        new["status"] = {**old.get("status", {}), "phase": "Terminating"}
    if info.key == CRDS:
        conditions = [c for c in old.get("status", {}).get("conditions", ()) if c["type"] != "Terminating"]
        ending = {
            "type": "Terminating",
            "status": "True",
            "lastTransitionTime": objects.timestamp(),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }
        new["status"] = {**old.get("status", {}), "conditions": [*conditions, ending]}
    return new


def _grace(pod: Json, asked: Json) -> int:
    """Give the seconds that a Pod has left; none if no kubelet has it or it is through already."""
    spec = pod.get("spec") or {}
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    seconds = asked.get("gracePeriodSeconds")
    if seconds is None:
        seconds = spec.get("terminationGracePeriodSeconds", 30)
    # Kubernetes reads a time before now as one second.
    return 1 if int(seconds) < 0 else int(seconds)


def remove(server: Server, info: ResourceInfo, obj: Json) -> Json:
    """Take an object out of the store in its final form, and end what only waited for it; gives that form."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    item = server.store.remove(info.key, namespace, metadata["name"], final=conversion.stored(obj, info))
    if info.key == CRDS:
        server.registry.replace_custom(obj["spec"]["names"]["plural"], obj["spec"]["group"], ())
    elif info.custom and not server.store.count(info.key):
        definition = server.store.get(CRDS, "", info.key)
        if definition is not None and definition["metadata"].get("deletionTimestamp"):
            _end_instances(server, definition)
    return obj if item is None else conversion.served(item.obj, info)


def _end_instances(server: Server, definition: Json) -> None:
    """Delete all instances of a CRD that is going; drop its finalizer when none is left.

    Webhooks are not asked, as kube-apiserver's own finalizer bypasses none but the last: an
    instance held by a finalizer stays until its controller lets it go.
    """
    name = definition["metadata"]["name"]
    infos = server.registry.versions_of(name)
    for item in server.store.items(name):
        obj = conversion.served(item.obj, infos[0])
        new = marked(infos[0], obj, {})
        if lifecycle.is_over(infos[0], new):
            server.store.remove(name, item.namespace, item.name, final=new)
        elif not obj["metadata"].get("deletionTimestamp"):
            server.store.put(name, new)
    if server.store.count(name):
        logger.info("CRD %s waits for the finalizers of %d instances", name, server.store.count(name))
        return
    left = [f for f in definition["metadata"].get("finalizers", ()) if f != lifecycle.CRD_FINALIZER]
    new = {**definition, "metadata": {**definition["metadata"], "finalizers": left}}
    info = server.registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    assert info is not None  # noqa: S101 - a built-in
    if lifecycle.is_over(info, new):
        remove(server, info, new)
    else:
        server.store.put(CRDS, new)


def _gone(info: ResourceInfo, old: Json) -> Json:
    details: Json = {"name": old["metadata"]["name"], "kind": info.plural, "uid": old["metadata"]["uid"]}
    if info.group:
        details["group"] = info.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
