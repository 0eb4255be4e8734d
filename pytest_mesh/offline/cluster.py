"""Documents for the oracle from a running cluster: what is there of the kinds that decide where requests go. It only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.kube import Kube, KubeError, Resource
from pytest_mesh.oracle.errors import Unsupported

_ISTIO = ("v1", "v1beta1", "v1alpha3")
_GATEWAY_API = ("v1", "v1beta1", "v1alpha3", "v1alpha2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind that is listed."""

    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    """The first that the API serves is read."""
    name: str
    required: bool = False
    """Whether a cluster must have it."""
    afar: bool = True
    """Whether an object in the mesh's root namespace may count for other namespaces."""

    @property
    def api_versions(self) -> tuple[str, ...]:
        """``apiVersion`` by preference."""
        return tuple(f"{self.group}/{version}".lstrip("/") for version in self.versions)


KINDS = (
    Kind(name="Service", required=True),
    Kind(name="Pod", required=True),
    *(
        Kind(group="networking.istio.io", versions=_ISTIO, name=name)
        for name in (
            "VirtualService", "DestinationRule", "ServiceEntry", "Sidecar", "WorkloadEntry", "WorkloadGroup", "EnvoyFilter"
        )
    ),
    *(
        Kind(group="security.istio.io", versions=("v1", "v1beta1"), name=name)
        for name in ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication")
    ),
    Kind(group="extensions.istio.io", versions=("v1alpha1",), name="WasmPlugin"),
    Kind(group="networking.k8s.io", name="NetworkPolicy", afar=False),
    *(
        Kind(group="gateway.networking.k8s.io", versions=_GATEWAY_API, name=name, afar=False)
        for name in ("Gateway", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "BackendTLSPolicy")
    ),
)  # fmt: skip
"""What decides where requests go. Kinds that the oracle refuses are among them, as files with them are refused: it says so."""

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
    """List the objects of some namespaces and of the mesh's root namespace, or of all but the cluster's own (``kube-*``).

    Needs leave to list, nothing else. Raises ``failures.Infrastructure`` without a cluster, ``kube.KubeError`` without
    leave, ``Unsupported`` for a mesh configuration that the oracle does not model.
    """
    kube = Kube.load(kubeconfig, context or None)
    source = f"cluster {context}".strip()
    found: list[tuple[Json, str]] = []
    for kind in KINDS:
        served = _served(kube, kind)
        if served is None:
            continue
        api_version, resource = served
        for namespace in _read(namespaces, root_namespace, kind):
            items = kube.list(resource.path(namespace))
            found += [
                ({"apiVersion": api_version, "kind": kind.name, **item}, source)
                for item in items
                if namespace or item["metadata"]["namespace"] not in _SYSTEM
            ]
    return Found(documents=found, registry_only=_registry_only(kube, root_namespace, source))


def _served(kube: Kube, kind: Kind) -> tuple[str, Resource] | None:
    """Give the first version that the API serves; None where it serves none of a kind that need not be there."""
    for api_version in kind.api_versions:
        try:
            return api_version, kube.resource(api_version, kind.name)
        except KubeError as error:
            if kind.required or error.status != 404:
                raise
    return None


def _read(namespaces: Sequence[str], root_namespace: str, kind: Kind) -> tuple[str, ...]:
    """Give the namespaces in which a kind is listed; an empty name is all."""
    more = (root_namespace,) if namespaces and kind.afar else ()
    return tuple(dict.fromkeys((*namespaces, *more))) or ("",)


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
