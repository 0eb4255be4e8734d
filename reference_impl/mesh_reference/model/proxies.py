"""Who a connected proxy says it is: Envoy's node, as Istio's agent fills it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownNode(MeshError):  # noqa: N818  a statement about the node
    """The node's id does not say which proxy this is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One sidecar or gateway. ``id`` is ``<pod>.<namespace>``."""

    id: str
    namespace: str
    address: str
    service_account: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    cluster_id: str = ""
    version: str = ""
    locality: tuple[str, str, str] = ("", "", "")
    """As the proxy itself says; its Pod's node counts before it."""
    is_gateway: bool = False
    is_transparent: bool = False
    """Whether inbound connections keep their addresses on the way through (interception mode TPROXY)."""
    answers_names: bool = False
    """Whether its agent answers the application's questions for names (DNS_CAPTURE)."""


def read_node(node_id: str, metadata: Mapping[str, Any], locality: tuple[str, str, str] = ("", "", "")) -> Proxy:
    """Read ``sidecar~<ip>~<pod>.<namespace>~<namespace>.svc.<domain>`` and Istio's node metadata."""
    parts = node_id.split("~")
    if len(parts) != 4:
        raise UnknownNode(f"node id {node_id!r} is not type~ip~pod.namespace~domain")
    kind, address, name, _dns_domain = parts
    if kind not in {"sidecar", "router"}:
        raise UnknownNode(f"node {node_id!r} is a {kind!r}; this control plane serves sidecars and routers (gateways)")
    namespace = str(metadata.get("NAMESPACE") or "")
    if not namespace and "." in name:
        namespace = name.rpartition(".")[2]
    if not namespace:
        raise UnknownNode(f"node {node_id!r} names no namespace, neither in its id nor in metadata NAMESPACE")
    labels = metadata.get("LABELS") or {}
    return Proxy(
        id=name,
        is_gateway=kind == "router",
        namespace=namespace,
        address=address,
        service_account=str(metadata.get("SERVICE_ACCOUNT") or ""),
        labels={str(key): str(value) for key, value in labels.items()},
        cluster_id=str(metadata.get("CLUSTER_ID") or ""),
        version=str(metadata.get("ISTIO_VERSION") or ""),
        locality=locality,
        is_transparent=metadata.get("INTERCEPTION_MODE") == "TPROXY",
        answers_names=kind == "sidecar" and str(metadata.get("DNS_CAPTURE")).lower() in {"1", "t", "true"},
    )
