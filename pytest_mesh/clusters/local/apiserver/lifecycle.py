"""An object's life on the server: what begins it, what an update may not touch, when it is over.

Pure but for the clock, and for ``check_namespace``, which reads the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pytest_mesh.clusters.local.apiserver import decoding, errors, fieldsets, objects

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.contracts import Json

NOT_RUN = {
    "statefulsets.apps": {"volumeClaimTemplates": "nothing provisions a PersistentVolumeClaim; use an emptyDir volume"},
    "jobs.batch": {
        "podFailurePolicy": "no controller heeds it; use backoffLimit",
        "successPolicy": "no controller heeds it; use completions",
        "backoffLimitPerIndex": "no controller heeds it; use backoffLimit",
        "maxFailedIndexes": "no controller heeds it; use backoffLimit",
        "managedBy": "there is no controller but the cluster's own; leave it out",
    },
}
"""Fields that the controllers of the embedded cluster would have to pass over, why, and what to use in their place."""

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"

INERT = {
    "horizontalpodautoscalers.autoscaling": "nothing scales by it",
    "poddisruptionbudgets.policy": "evictions do not heed it",
    "networkpolicies.networking.k8s.io": "no traffic is restricted by it",
    "validatingadmissionpolicies.admissionregistration.k8s.io": "no request is judged by it",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": "no request is judged by it",
    "priorityclasses.scheduling.k8s.io": "no pod is preempted by it",
}
"""Kinds that are stored and served and have no effect; each create says so in a warning."""

_NO_GENERATION = frozenset(
    (
        "configmaps", "secrets", "namespaces", "nodes", "serviceaccounts", "services", "endpoints", "events", "controllerrevisions.apps",
        "leases.coordination.k8s.io", "roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io",
        "horizontalpodautoscalers.autoscaling", "rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
    )
)  # fmt: skip

_KEEPS_STATUS = frozenset(("nodes",))
"""Kinds whose creator may send a status (a kubelet registers its node with one)."""

FOREVER = ("default", "kube-system", "kube-public")
"""Namespaces that may not be deleted."""

CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def refuse_unsupported(info: ResourceInfo, obj: Json) -> None:
    """Raise StatusError 501 for a field that the embedded cluster would store and never heed."""
    spec, at = obj.get("spec") or {}, "spec"
    if info.key == "cronjobs.batch":
        spec, at = (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec"
    for name, why in NOT_RUN.get("jobs.batch" if info.key == "cronjobs.batch" else info.key, {}).items():
        if spec.get(name):
            raise errors.not_implemented(f"{info.kind} {at}.{name}: {why}, or another --mesh-cluster")


def cautions(info: ResourceInfo, obj: Json) -> list[str]:
    """Give the warning about a kind, or a type of Service, that has no effect here."""
    why = INERT.get(info.key)
    kind = (obj.get("spec") or {}).get("type") if info.key == "services" else ""
    if kind in ("NodePort", "LoadBalancer"):
        why = "nothing listens on its node ports and no address is given to it from outside; its ClusterIP is served"
    return [] if why is None else [f"the embedded cluster stores this {info.kind}, but {why}"]


def check_namespace(store: Store, info: ResourceInfo, namespace: str, name: str) -> None:
    """Raise StatusError 404 or 403 if nothing can be created in a namespace."""
    found = store.get("namespaces", "", namespace)
    if found is None:
        raise errors.not_found("namespaces", "", namespace)
    if found["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        refusal = errors.forbidden(info.plural, info.group, name, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        assert refusal.details is not None  # noqa: S101 - forbidden() always gives details
        refusal.details["causes"] = [cause]
        raise refusal


def begin(info: ResourceInfo, obj: Json) -> None:
    """Give a new object its uid and its time, and take from it what only the server may say."""
    metadata = obj["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "managedFields"):
        metadata.pop(name, None)
    metadata["uid"] = objects.new_uid()
    metadata["creationTimestamp"] = objects.timestamp()
    if info.key in _NO_GENERATION:
        metadata.pop("generation", None)
    else:
        metadata["generation"] = 1
    if info.key == "daemonsets.apps":
        metadata.setdefault("annotations", {})[TEMPLATE_GENERATION] = "1"
    if info.has_status and info.key not in _KEEPS_STATUS:
        obj.pop("status", None)
        if info.key == "pods":
            obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj.get("spec") or {})}
        elif not info.custom:
            obj["status"] = decoding.zero(fieldsets.child(fieldsets.resolve(info.schema), "status")[0])


def qos_class(spec: Json) -> str:
    """Give a Pod's quality of service class."""
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    resources = [container.get("resources") or {} for container in containers]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    for resource in resources:
        limits = resource.get("limits") or {}
        if not {"cpu", "memory"} <= limits.keys():
            return "Burstable"
        requests = resource.get("requests") or limits
        if any(requests.get(name, limits[name]) != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def carry_over(info: ResourceInfo, old: Json, new: Json, subresource: str) -> Json:
    """Give the new form with everything that this write may not touch as it was; raises StatusError 409."""
    before, after = old["metadata"], new["metadata"]
    if after.get("uid") and after["uid"] != before["uid"]:
        why = f"Precondition failed: UID in precondition: {after['uid']}, UID in object meta: {before['uid']}"
        raise errors.conflict(info.plural, info.group, before["name"], why)
    if subresource == "status":
        kept = {name: value for name, value in old.items() if name != "status"}
        kept["metadata"] = dict(before)
        if not info.custom:
            for name in ("labels", "annotations", "finalizers"):
                if name == "labels" and info.group == "apps":
                    continue
                if after.get(name):
                    kept["metadata"][name] = after[name]
                else:
                    kept["metadata"].pop(name, None)
        kept["metadata"]["managedFields"] = after.get("managedFields", before.get("managedFields"))
        if "status" in new:
            kept["status"] = new["status"]
        return kept
    if subresource == "finalize":
        kept = dict(old)
        kept["metadata"] = dict(before)
        kept["spec"] = {**old.get("spec", {}), "finalizers": (new.get("spec") or {}).get("finalizers", [])}
        return kept
    for name in (
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ):
        if name in before:
            after[name] = before[name]
        else:
            after.pop(name, None)
    after["resourceVersion"] = before["resourceVersion"]
    added = [name for name in after.get("finalizers", ()) if name not in before.get("finalizers", ())]
    if before.get("deletionTimestamp") and added:
        cause = errors.Cause(
            field="metadata.finalizers",
            message="Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{', '.join(orjson.dumps(name).decode() for name in added)}}}",
            reason="FieldValueForbidden",
        )
        raise errors.invalid(info.kind, info.group, before["name"], [cause, cause])
    if info.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    if info.key == "namespaces":
        new["spec"] = old.get("spec", {})
    return new


def same(old: Json, new: Json) -> bool:
    """Say whether a write would change nothing but times of ownership."""
    if old.keys() != new.keys() or any(old[name] != new[name] for name in old if name != "metadata"):
        return False
    before, after = old["metadata"], new["metadata"]
    ignored = ("managedFields", "resourceVersion")
    if {k: v for k, v in before.items() if k not in ignored} != {k: v for k, v in after.items() if k not in ignored}:
        return False
    return _owned(before) == _owned(after)


def _owned(metadata: Json) -> list[Json]:
    return [{k: v for k, v in entry.items() if k != "time"} for entry in metadata.get("managedFields") or ()]


def count_generation(info: ResourceInfo, old: Json, new: Json) -> None:
    """Raise the generation if what the object asks for changed."""
    if info.key in _NO_GENERATION:
        return
    ignored = {"metadata", "apiVersion"} | ({"status"} if info.has_status else set())
    names = (old.keys() | new.keys()) - ignored
    # A Deployment's annotations count too: they are copied to what it makes.
    noted = info.key == "deployments.apps" and old["metadata"].get("annotations") != new["metadata"].get("annotations")
    if noted or any(old.get(name) != new.get(name) for name in names):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    if info.key == "daemonsets.apps":
        count = int((old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION) or 0)
        changed = old["spec"].get("template") != new["spec"].get("template")
        new["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = str(count + changed)


def is_over(info: ResourceInfo, obj: Json) -> bool:
    """Say whether an object that is being deleted waits for nothing any more."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if info.key == "namespaces" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not (info.key == "pods" and metadata.get("deletionGracePeriodSeconds"))
