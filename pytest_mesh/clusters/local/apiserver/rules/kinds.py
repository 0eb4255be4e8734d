"""Finds the rules of a built-in kind. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.rules import (
    accesses,
    configuration,
    definitions,
    endpoints,
    networking,
    pods,
    scaling,
    services,
    webhooks,
    workloads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

_KINDS: dict[str, Callable[[Json, Json | None], Iterator[Cause]]] = {
    "pods": pods.check,
    "deployments.apps": workloads.deployment,
    "replicasets.apps": workloads.replica_set,
    "statefulsets.apps": workloads.stateful_set,
    "daemonsets.apps": workloads.daemon_set,
    "controllerrevisions.apps": workloads.controller_revision,
    "jobs.batch": workloads.job,
    "cronjobs.batch": workloads.cron_job,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.check,
    "services": services.check,
    "endpoints": endpoints.endpoints,
    "endpointslices.discovery.k8s.io": endpoints.endpoint_slice,
    "configmaps": configuration.config_map,
    "secrets": configuration.secret,
    "events": configuration.event,
    "leases.coordination.k8s.io": configuration.lease,
    "ingresses.networking.k8s.io": networking.ingress,
    "networkpolicies.networking.k8s.io": networking.network_policy,
    "poddisruptionbudgets.policy": scaling.disruption_budget,
    "horizontalpodautoscalers.autoscaling": scaling.autoscaler,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": webhooks.check,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": webhooks.check,
    "roles.rbac.authorization.k8s.io": accesses.role,
    "clusterroles.rbac.authorization.k8s.io": accesses.cluster_role,
    "rolebindings.rbac.authorization.k8s.io": accesses.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": accesses.cluster_role_binding,
}


def check(info: ResourceInfo, obj: Json, old: Json | None) -> Iterator[Cause]:
    """Give the faults of a built-in object; ``old`` is what an update replaces."""
    function = _KINDS.get(info.key)
    if function is not None:
        yield from function(obj, old)
