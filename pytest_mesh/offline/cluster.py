"""Documents for the oracle from a running cluster: what is there of the kinds that decide where requests go. It only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.oracle.errors import Unsupported

KINDS = (
    ("v1", "Service", True),
    ("v1", "Pod", True),
    ("networking.istio.io/v1", "VirtualService", False),
    ("networking.istio.io/v1", "DestinationRule", False),
    ("networking.istio.io/v1", "ServiceEntry", False),
    ("networking.istio.io/v1", "Sidecar", False),
    ("networking.istio.io/v1alpha3", "EnvoyFilter", False),
    ("security.istio.io/v1", "AuthorizationPolicy", False),
    ("security.istio.io/v1", "PeerAuthentication", False),
    ("security.istio.io/v1", "RequestAuthentication", False),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", False),
)
"""apiVersion, kind, and whether a cluster must have it. Those that the oracle refuses are among them: it says so."""

_MESH_CONFIG_DEFAULTS = {
    "defaultVirtualServiceExportTo": ["*"],
    "defaultDestinationRuleExportTo": ["*"],
    "defaultServiceExportTo": ["*"],
}
_SYSTEM = {"kube-system", "kube-public", "kube-node-lease"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a cluster holds."""

    documents: list[tuple[Json, str]]
    """Each with its origin: ``cluster CONTEXT``."""
    registry_only: bool
    """The mesh configuration's outboundTrafficPolicy."""


def objects(
    namespaces: Sequence[str] = (),
    *,
    kubeconfig: Path | None = None,
    context: str = "",
    root_namespace: str = "istio-system",
) -> Found:
    """List the objects of some namespaces, or of all but the cluster's own (``kube-*``).

    Needs leave to list, nothing else. Raises ``failures.Infrastructure`` without a cluster, ``kube.KubeError`` without
    leave, ``Unsupported`` for a mesh configuration that the oracle does not model.
    """
    kube = Kube.load(kubeconfig, context or None)
    source = f"cluster {context}".strip()
    found: list[tuple[Json, str]] = []
    for api_version, kind, required in KINDS:
        try:
            resource = kube.resource(api_version, kind)
        except KubeError as error:
            if required or error.status != 404:
                raise
            continue
        for namespace in namespaces or ("",):
            items = kube.list(resource.path(namespace))
            found += [
                ({"apiVersion": api_version, "kind": kind, **item}, source)
                for item in items
                if namespaces or item["metadata"]["namespace"] not in _SYSTEM
            ]
    return Found(documents=found, registry_only=_registry_only(kube, root_namespace, source))


def _registry_only(kube: Kube, root_namespace: str, source: str) -> bool:
    """Read the mesh configuration (ConfigMap ``istio``, where there is one)."""
    config_map = kube.find(kube.resource("v1", "ConfigMap").path(root_namespace, "istio"))
    mesh: Json = documents.load(((config_map or {}).get("data") or {}).get("mesh") or "{}", source="mesh") or {}
    for name, default in _MESH_CONFIG_DEFAULTS.items():
        if mesh.get(name, default) != default:
            raise Unsupported(
                f"{source}: ConfigMap {root_namespace}/istio: mesh: {name}: the oracle does not model {mesh[name]!r}"
            )
    return (mesh.get("outboundTrafficPolicy") or {}).get("mode") == "REGISTRY_ONLY"
