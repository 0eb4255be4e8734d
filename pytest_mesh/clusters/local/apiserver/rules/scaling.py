"""The rules of HorizontalPodAutoscalers and PodDisruptionBudgets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.rules.faults import (
    forbidden,
    one_of,
    required,
    selector,
    share,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

METRICS = ("ContainerResource", "External", "Object", "Pods", "Resource")


def disruption_budget(budget: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a PodDisruptionBudget."""
    spec = budget.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        policy = spec.get("unhealthyPodEvictionPolicy")
        shown = {
            "MinAvailable": least,
            "Selector": spec.get("selector"),
            "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": policy,
        }
        yield wrong("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        yield from share(spec.get(name), f"spec.{name}", most=True)
    yield from selector(spec.get("selector"), "spec.selector")
    field = "spec.unhealthyPodEvictionPolicy"
    yield from one_of(field, spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget"))


def autoscaler(obj: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a HorizontalPodAutoscaler."""
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if least is not None and least < 1:
        yield wrong("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield wrong("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        yield wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for name in ("kind", "name"):
        if not target.get(name):
            yield required(f"spec.scaleTargetRef.{name}")
    if "/" not in target.get("apiVersion", "") and target.get("kind") != "ReplicationController":
        yield wrong("spec.scaleTargetRef.apiVersion", target.get("apiVersion", ""), "apiVersion must specify API group")
    kinds = set()
    for index, metric in enumerate(spec.get("metrics") or ()):
        kind, at = metric.get("type", ""), f"spec.metrics[{index}]"
        kinds.add(kind)
        if kind not in METRICS:
            if not kind:
                yield required(f"{at}.type", "must specify a metric source type")
            # Kubernetes finds it twice: once for the type, once for the source that the type has not.
            yield unsupported(f"{at}.type", kind, METRICS)
            yield unsupported(f"{at}.type", kind, METRICS)
        elif kind[0].lower() + kind[1:] not in metric:
            yield required(
                f"{at}.{kind[0].lower() + kind[1:]}", "must populate information for the given metric source"
            )
    if least == 0 and not {"Object", "External"} & kinds:
        yield forbidden(
            "spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas"
        )
