"""Which workload a pod belongs to, told from the pod alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_CRON_JOB = re.compile(r"(.+)-\d{8,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The owner of a pod: for a Deployment's pod the Deployment, not its ReplicaSet."""

    api_version: str
    kind: str
    name: str
    namespace: str

    @property
    def reference(self) -> str:
        """The value of ISTIO_META_OWNER."""
        return f"kubernetes://apis/{self.api_version}/namespaces/{self.namespace}/{self.kind.lower()}s/{self.name}"


def owner_of(pod: Json, namespace: str) -> Workload:
    """The controller of a generated pod, else the pod itself."""
    metadata: Json = pod.get("metadata") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    generated = metadata.get("generateName") or ""
    name = metadata.get("name") or generated.rstrip("-")
    controller = next((ref for ref in metadata.get("ownerReferences") or () if ref.get("controller")), None)
    if not generated or controller is None:
        return Workload(api_version="v1", kind="Pod", name=name, namespace=namespace)
    api_version, kind, name = controller["apiVersion"], controller["kind"], controller["name"]
    suffix = labels.get("pod-template-hash", "")
    job = _CRON_JOB.fullmatch(name)
    if kind == "ReplicaSet" and suffix and name.endswith(suffix):
        kind, name = "Deployment", name.removesuffix(f"-{suffix}")
    elif kind == "Job" and job:
        api_version, kind, name = "batch/v1", "CronJob", job[1]
    return Workload(api_version=api_version, kind=kind, name=name, namespace=namespace)
