"""What a template is filled with: the pod's own words, its owner and the settings, read in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_reference.injection.annotations import INTERCEPTION_MODE, STATUS_PORT
from mesh_reference.injection.owner import Workload
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]

PROXY = "istio-proxy"
INIT = "istio-init"
PROXY_UID = 1337


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Everything that the template is filled with."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: Sequence[Mapping[str, Any]]
    """The pod's own containers, a user's istio-proxy among them."""
    workload: Workload
    settings: InjectionSettings
    config: Mapping[str, Any]
    """The effective ProxyConfig of this pod."""
    native: bool
    """Whether the proxy is an init container that keeps running."""

    @property
    def interception_mode(self) -> str:
        return self.annotations.get(INTERCEPTION_MODE) or str(self.config.get("interceptionMode") or "REDIRECT")

    @property
    def transparent(self) -> bool:
        """Whether Envoy keeps the addresses of inbound connections: that takes root and NET_ADMIN."""
        return self.interception_mode == "TPROXY"

    @property
    def status_port(self) -> int:
        return int(self.annotations.get(STATUS_PORT) or self.config.get("statusPort") or self.settings.status_port)

    @property
    def hold(self) -> bool:
        """Whether the application waits for the proxy; native sidecars start first anyway."""
        return bool(self.config.get("holdApplicationUntilProxyStarts")) and not self.native

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.config.get("proxyMetadata") or {}

    @property
    def app_containers(self) -> list[str]:
        return [str(container["name"]) for container in self.containers if container["name"] != PROXY]

    def option(self, name: str, default: str) -> str:
        return self.annotations.get(name, default)

    @property
    def image(self) -> str:
        """The proxy's: the annotation's when it is a whole reference."""
        chosen = self.annotations.get("sidecar.istio.io/proxyImage", "")
        return chosen if "/" in chosen else self.settings.proxy_image
