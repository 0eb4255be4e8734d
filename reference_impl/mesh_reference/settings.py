"""What the operator of the control plane can choose, as one immutable value. It reads no environment and no file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mesh_reference.discovery import Selector


class OutboundPolicy(StrEnum):
    """Where a sidecar sends traffic for hosts the mesh does not know (rows F6-F8)."""

    ALLOW_ANY = "ALLOW_ANY"
    REGISTRY_ONLY = "REGISTRY_ONLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one control plane; durations are seconds.

    Defaults are Istio's, but for the debounce (Istio waits 100 ms and up to 10 s: here a push costs so little that a
    change need not wait, and only a stream of changes is gathered), the access log (Istio writes none unless asked: here
    a failure's evidence has it), and the bounds that Istio lacks (``shutdown_grace``, ``max_streams``, ``send_timeout``).
    """

    root_namespace: str = "istio-system"
    service_name: str = "istiod"
    domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    mesh_id: str = "cluster.local"
    revision: str = "default"
    trust_domain_aliases: tuple[str, ...] = ()
    """Names that the trust domain had, or has elsewhere: peers under them are of this mesh."""

    listen_host: str = "0.0.0.0"
    """Every port below is bound on this address. A port of 0 takes any free one."""
    xds_port: int = 15010
    secure_port: int = 15012
    monitoring_port: int = 15014
    webhook_port: int = 15017
    http_port: int = 8080
    certificate_port: int | None = None
    """CA over mutual TLS, for callers whose proof is a certificate of this mesh; None = closed."""

    default_workload_ttl: float = 86_400.0
    """Life of certificates that were asked for without one."""
    max_workload_ttl: float = 90 * 86_400.0
    """A longer one is an error."""
    ed25519: bool = False
    """Whether workloads' keys may be Ed25519: not every proxy speaks it."""

    pod_name: str = "istiod"
    pod_namespace: str = "istio-system"

    outbound_policy: OutboundPolicy = OutboundPolicy.ALLOW_ANY
    auto_mtls: bool = True
    connect_timeout: float = 10.0
    discovery_selectors: tuple[Selector, ...] = ()
    """Namespaces that this control plane knows; empty = all."""
    access_log_path: str = "/dev/stdout"
    """Envoy's access log; empty = none."""

    debounce_quiet: float = 0.005
    """A push waits until no event came for this long..."""
    debounce_max: float = 0.1
    """...but never longer than this after the first event."""
    debounce_stream: float = 0.05
    """While changes keep coming, a push waits for this long a quiet..."""
    debounce_stream_max: float = 1.0
    """...but never longer than this after the first event."""

    shutdown_grace: float = 2.0
    """How long open streams may live on after SIGTERM."""

    max_streams: int = 5000
    """Open ADS streams; one more is refused with RESOURCE_EXHAUSTED, and its proxy tries elsewhere or later."""
    max_request_bytes: int = 4 * 1024 * 1024
    """A larger message ends its stream. 4 MiB name more than 30,000 clusters."""
    send_timeout: float = 30.0
    """A proxy that takes no byte of a response for this long is cut off."""

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The trust domain and its aliases."""
        return (self.trust_domain, *self.trust_domain_aliases)
