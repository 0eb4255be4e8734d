"""Rules about a PeerAuthentication (row V59)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import check_workload_selector

Json = Mapping[str, Any]


def check_peer_authentication(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``."""
    ports = spec.get("portLevelMtls")
    labels = (spec.get("selector") or {}).get("matchLabels")
    here = ("spec", "portLevelMtls")
    if ports and not labels:
        out.error(here, "V59a", "mesh/namespace peer authentication cannot have port level mTLS")
    if ports is not None and not ports:
        out.error(here, "V59b", "port level mTLS, if defined, must have at least one element")
    for port in ports or {}:
        if not 1 <= int(port) <= 65535:
            out.error((*here, port), "V59c", "port must be in range 1..65535")
    check_workload_selector(out, ("spec", "selector"), spec.get("selector"))
