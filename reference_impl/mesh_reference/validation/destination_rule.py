"""Rules about a DestinationRule as a whole (rows V41, V54, V55); its policies have a module of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import (
    check_export_to,
    check_labels,
    check_workload_selector,
    is_dns_label,
    wildcard_domain_problem,
)
from mesh_reference.validation.traffic_policy import check_traffic_policy

Json = Mapping[str, Any]


def check_destination_rule(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``; ``namespace`` is the resource's own."""
    problem = wildcard_domain_problem(spec.get("host") or "")
    if problem:
        out.error(("spec", "host"), "V2d", problem)
    check_traffic_policy(out, ("spec", "trafficPolicy"), namespace, spec.get("trafficPolicy"))
    names: set[str] = set()
    for index, subset in enumerate(spec.get("subsets") or ()):
        here, name = ("spec", "subsets", index), subset.get("name") or ""
        if name in names:
            out.error((*here, "name"), "V41a", f"duplicate subset names: {name}")
        names.add(name)
        if not name:
            out.error((*here, "name"), "V41b", "subset name cannot be empty")
        elif not is_dns_label(name):
            out.error((*here, "name"), "V41c", f"subset name is invalid: {name}")
        check_labels(out, (*here, "labels"), subset.get("labels"))
        check_traffic_policy(out, (*here, "trafficPolicy"), namespace, subset.get("trafficPolicy"))
    selector = spec.get("workloadSelector")
    check_export_to(out, namespace, spec.get("exportTo"), has_selector=selector is not None)
    check_workload_selector(out, ("spec", "workloadSelector"), selector)
