"""The whole mesh at one moment: an immutable value with a version. Generators read it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh_reference.model.authorization_policies import AuthorizationPolicy
from mesh_reference.model.destination_rules import DestinationRule
from mesh_reference.model.endpoints import Endpoint, Locality, Pod
from mesh_reference.model.gateways import Gateway
from mesh_reference.model.peer_authentications import PeerAuthentication
from mesh_reference.model.services import Service
from mesh_reference.model.sidecars import Sidecar
from mesh_reference.model.virtual_services import VirtualService

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = tuple[str, str]
"""(namespace, name)"""
ConfigKey = tuple[str, str, str]
"""(kind, namespace, name)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSnapshot:
    """Everything that configuration is made from. The mappings are never changed after the snapshot was taken."""

    version: int = 0
    services: Mapping[str, Service] = field(default_factory=dict)
    """By host name."""
    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    """Ready and unready endpoints by the Service's host name."""
    pods: Mapping[str, Pod] = field(default_factory=dict)
    """By address."""
    hosts_at: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Address: hosts of the Services whose endpoints it serves."""
    virtual_services: Mapping[Key, VirtualService] = field(default_factory=dict)
    destination_rules: Mapping[Key, DestinationRule] = field(default_factory=dict)
    peer_authentications: Mapping[Key, PeerAuthentication] = field(default_factory=dict)
    authorization_policies: Mapping[Key, AuthorizationPolicy] = field(default_factory=dict)
    sidecars: Mapping[Key, Sidecar] = field(default_factory=dict)
    gateways: Mapping[Key, Gateway] = field(default_factory=dict)
    nodes: Mapping[str, Locality] = field(default_factory=dict)
    """Where each Node is, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What differs between two snapshots.

    ``endpoints``: hosts of which addresses changed. ``services``: hosts of Services that came, went or changed, or whose
    servers' identities did. ``configs``: VirtualServices and DestinationRules. ``proxies``: addresses of pods whose own
    part of the mesh changed (their labels, the Services that lead to them). ``full``: anything may differ.
    """

    full: bool = False
    endpoints: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    configs: frozenset[ConfigKey] = frozenset()
    proxies: frozenset[str] = frozenset()

    def __or__(self, other: Change) -> Change:
        return Change(
            full=self.full or other.full,
            endpoints=self.endpoints | other.endpoints,
            services=self.services | other.services,
            configs=self.configs | other.configs,
            proxies=self.proxies | other.proxies,
        )

    def keys(self, kind: str) -> list[Key]:
        """The changed objects of a kind."""
        return [(namespace, name) for found, namespace, name in sorted(self.configs) if found == kind]

    def __bool__(self) -> bool:
        return self.full or bool(self.endpoints or self.services or self.configs or self.proxies)
