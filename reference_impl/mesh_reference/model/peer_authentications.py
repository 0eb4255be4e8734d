"""PeerAuthentication as typed values, and the mode that a workload's port ends up with (§3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.peer_authentication import PEER_AUTHENTICATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class MtlsMode(StrEnum):
    """What an inbound port accepts. UNSET inherits from the next wider scope."""

    UNSET = "UNSET"
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAuthentication:
    """One policy. Without ``selector`` it covers its namespace, or the mesh when that is the root namespace."""

    meta: Metadata
    selector: tuple[tuple[str, str], ...]
    mode: MtlsMode
    ports: tuple[tuple[int, MtlsMode], ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMtls:
    """The effective modes of one workload; never UNSET."""

    mode: MtlsMode = MtlsMode.PERMISSIVE
    ports: tuple[tuple[int, MtlsMode], ...] = ()

    def for_port(self, number: int) -> MtlsMode:
        return dict(self.ports).get(number, self.mode)


def compose(
    policies: Iterable[PeerAuthentication], namespace: str, labels: Mapping[str, str], root_namespace: str
) -> InboundMtls:
    """Mesh < namespace < workload < port; the oldest of each scope; UNSET inherits; the default is PERMISSIVE.

    A selector in the root namespace is ignored there.
    """
    scopes = in_scope(policies, namespace, labels, root_namespace)
    mode = MtlsMode.PERMISSIVE
    for scope in scopes:
        if scope is not None and scope.mode is not MtlsMode.UNSET:
            mode = scope.mode
    workload = scopes[-1]
    ports = tuple(
        (port, found if found is not MtlsMode.UNSET else mode) for port, found in (workload.ports if workload else ())
    )
    return InboundMtls(mode=mode, ports=ports)


def deciding(
    policies: Iterable[PeerAuthentication], namespace: str, labels: Mapping[str, str], root_namespace: str, port: int
) -> tuple[MtlsMode, PeerAuthentication | None, tuple[str | int, ...]]:
    """What `compose` gives the port, the policy that says so and the field where it does; None = the default."""
    scopes = in_scope(policies, namespace, labels, root_namespace)
    workload = scopes[-1]
    own = dict(workload.ports).get(port, MtlsMode.UNSET) if workload else MtlsMode.UNSET
    if workload is not None and own is not MtlsMode.UNSET:
        return own, workload, ("spec", "portLevelMtls", str(port), "mode")
    for scope in reversed(scopes):
        if scope is not None and scope.mode is not MtlsMode.UNSET:
            return scope.mode, scope, ("spec", "mtls", "mode")
    return MtlsMode.PERMISSIVE, None, ()


def in_scope(
    policies: Iterable[PeerAuthentication], namespace: str, labels: Mapping[str, str], root_namespace: str
) -> tuple[PeerAuthentication | None, PeerAuthentication | None, PeerAuthentication | None]:
    """The one of the mesh, of the namespace and of the workload: the oldest of each."""
    mesh: PeerAuthentication | None = None
    own: PeerAuthentication | None = None
    workload: PeerAuthentication | None = None
    for policy in sorted(policies, key=lambda item: item.meta.age_key):
        if policy.meta.namespace == root_namespace and not policy.selector:
            mesh = mesh or policy
        elif policy.meta.namespace != namespace or namespace == root_namespace:
            continue
        elif not policy.selector:
            own = own or policy
        elif all(labels.get(key) == value for key, value in policy.selector):
            workload = workload or policy
    return mesh, own, workload


def read_peer_authentication(obj: Mapping[str, Any]) -> PeerAuthentication:
    """Read the resource. Raises InvalidConfig when it cannot be applied."""
    spec, origin = open_spec(obj, PEER_AUTHENTICATION)
    selector = spec.fields("selector").pairs("matchLabels")
    ports = tuple(
        sorted((int(port), MtlsMode(item.get("mode", "UNSET"))) for port, item in spec.entries("portLevelMtls"))
    )
    if ports and not selector:
        raise spec.invalid("portLevelMtls needs a selector", "portLevelMtls")
    return PeerAuthentication(
        meta=read_metadata(obj),
        selector=selector,
        mode=MtlsMode(spec.fields("mtls").get("mode", "UNSET")),
        ports=ports,
        warnings=tuple(origin.warnings),
    )
