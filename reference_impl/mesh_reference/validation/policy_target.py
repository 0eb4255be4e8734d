"""Rules about what a security policy is attached to: a selector or target references (row V60)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import check_workload_selector

Json = Mapping[str, Any]

_ALLOWED = {
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
}
_SHOWN = "Service, networking.istio.io/ServiceEntry, gateway.networking.k8s.io/Gateway, gateway.networking.k8s.io/GatewayClass"


def check_policy_target(out: Findings, spec: Json) -> None:
    """``selector``, ``targetRef`` and ``targetRefs``: one of them at most, each sound."""
    given = [name for name in ("selector", "targetRef") if spec.get(name) is not None]
    given += ["targetRefs"] if spec.get("targetRefs") else []
    if len(given) > 1:
        out.error(("spec",), "V60g", "only one of targetRefs or workloadSelector can be set")
    check_workload_selector(out, ("spec", "selector"), spec.get("selector"))
    if spec.get("targetRef") is not None:
        _check_target(out, ("spec", "targetRef"), spec["targetRef"])
    for index, target in enumerate(spec.get("targetRefs") or ()):
        _check_target(out, ("spec", "targetRefs", index), target)


def _check_target(out: Findings, path: Path, target: Json) -> None:
    if not target.get("name"):
        out.error((*path, "name"), "V60d", "targetRef name must be set")
    if target.get("namespace"):
        message = "targetRef namespace must not be set; cross namespace referencing is not supported"
        out.error((*path, "namespace"), "V60e", message)
    group, kind = target.get("group") or "", target.get("kind") or ""
    if (group, kind) not in _ALLOWED:
        out.error((*path, "kind"), "V60f", f"targetRef must be to one of {_SHOWN} but was {group}/{kind}")
