"""What the operator can choose about injection, as one immutable value. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mesh_reference.settings import Settings

Json = Mapping[str, Any]

PROXY_IMAGE = "mesh-reference/proxyv2"
DEFAULT_RESOURCES: Json = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionSettings:
    """Settings of the injector. Defaults are those of Istio's default profile (row §2.2)."""

    proxy_image: str = PROXY_IMAGE
    image_pull_policy: str = "IfNotPresent"
    """Of the containers that are added. The image has no tag of its own, so the cluster would ask a registry each time."""
    image_pull_secrets: tuple[str, ...] = ()
    native_sidecar: bool = True
    """Whether the proxy is an init container that keeps running; annotation sidecar.istio.io/nativeSidecar overrides."""

    policy: Literal["enabled", "disabled"] = "enabled"
    never_inject: tuple[Json, ...] = ()
    always_inject: tuple[Json, ...] = ()
    """Label selectors (``matchLabels``, ``matchExpressions``) that decide for pods which say nothing themselves."""

    rewrite_app_probes: bool = True
    prometheus_merge: bool = True
    proxy_config: Json = field(default_factory=dict)
    """The mesh's ``defaultConfig``; a pod's annotation proxy.istio.io/config is merged over it."""

    include_outbound_ranges: str = "*"
    exclude_outbound_ranges: str = ""
    include_inbound_ports: str = "*"
    exclude_inbound_ports: str = ""
    include_outbound_ports: str = ""
    exclude_outbound_ports: str = ""

    proxy_log_level: str = "warning"
    component_log_level: str = "misc:error"
    agent_log_level: str = "default:info"
    resources: Json = field(default_factory=lambda: DEFAULT_RESOURCES)
    agent_command: tuple[str, ...] = ("refmesh", "agent")
    """What runs the agent inside the proxy's image; Istio's is ``pilot-agent``."""

    revision: str = "default"
    root_namespace: str = "istio-system"
    discovery_host: str = "istiod.istio-system.svc"
    secure_port: int = 15012
    domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    network: str = ""
    mesh_id: str = "cluster.local"
    status_port: int = 15020

    @classmethod
    def of(cls, settings: Settings, **changes: Any) -> InjectionSettings:
        """The injector's settings that follow from the control plane's; ``changes`` win."""
        derived = cls(
            revision=settings.revision,
            root_namespace=settings.root_namespace,
            discovery_host=f"{settings.service_name}.{settings.root_namespace}.svc",
            domain=settings.domain,
            trust_domain=settings.trust_domain,
            cluster_id=settings.cluster_id,
            mesh_id=settings.mesh_id,
        )
        return replace(derived, **changes)
