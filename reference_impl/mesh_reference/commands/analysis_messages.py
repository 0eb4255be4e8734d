"""What ``analyze`` says: istioctl's codes and levels (§4.3), and one finding about one resource. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.documents import Path

Json = Mapping[str, Any]
Level = Literal["Error", "Warning", "Info"]
LEVELS: tuple[Level, ...] = ("Info", "Warning", "Error")

CODES: dict[str, tuple[Level, str]] = {
    "IST0101": ("Error", "ReferencedResourceNotFound"),
    "IST0102": ("Info", "NamespaceNotInjected"),
    "IST0103": ("Warning", "PodMissingProxy"),
    "IST0106": ("Error", "SchemaValidationError"),
    "IST0109": ("Error", "ConflictingMeshGatewayVirtualServiceHosts"),
    "IST0110": ("Error", "ConflictingSidecarWorkloadSelectors"),
    "IST0111": ("Error", "MultipleSidecarsWithoutWorkloadSelectors"),
    "IST0112": ("Error", "VirtualServiceDestinationPortSelectorRequired"),
    "IST0118": ("Info", "PortNameIsNotUnderNamingConvention"),
    "IST0123": ("Warning", "NamespaceMultipleInjectionLabels"),
    "IST0125": ("Warning", "InvalidAnnotation"),
    "IST0127": ("Warning", "NoMatchingWorkloadsFound"),
    "IST0128": ("Warning", "NoServerCertificateVerificationDestinationLevel"),
    "IST0129": ("Warning", "NoServerCertificateVerificationPortLevel"),
    "IST0130": ("Warning", "VirtualServiceUnreachableRule"),
    "IST0131": ("Info", "VirtualServiceIneffectiveMatch"),
    "IST0132": ("Warning", "VirtualServiceHostNotFoundInGateway"),
    "IST0133": ("Warning", "SchemaWarning"),
    "IST0134": ("Warning", "ServiceEntryAddressesRequired"),
    "IST0137": ("Warning", "DeploymentConflictingPorts"),
    "IST0144": ("Warning", "InvalidApplicationUID"),
    "IST0145": ("Error", "ConflictingGateways"),
    "IST0150": ("Warning", "ExternalNameServiceTypeInvalidPortName"),
    "IST0162": ("Warning", "GatewayPortNotDefinedOnService"),
    "IST0173": ("Error", "DestinationRuleSubsetNotSelectPods"),
    "IST0174": ("Warning", "UnknownDestinationRuleHost"),
    "IST0177": ("Warning", "ConflictingServiceEntryProtocol"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One finding about one resource; ``place`` is ``file:line`` or ""."""

    code: str
    resource: str
    text: str
    place: str = ""

    @property
    def level(self) -> Level:
        return CODES[self.code][0]

    @property
    def line(self) -> str:
        """``Error [IST0101] (VirtualService shop/reviews file:7) Referenced host not found: "x"``."""
        where = f"{self.resource} {self.place}".rstrip()
        return f"{self.level} [{self.code}] ({where}) {self.text}"

    def is_meant_by(self, words: str) -> bool:
        """Does ``IST0101`` or ``IST0101=VirtualService re*.shop`` name it?"""
        code, _, pattern = words.partition("=")
        kind, _, name = self.resource.partition(" ")
        namespace, _, short = name.rpartition("/")
        return code == self.code and (not pattern or fnmatchcase(f"{kind} {short}.{namespace}", pattern))

    def to_json(self) -> dict[str, str]:
        return {
            "code": self.code,
            "name": CODES[self.code][1],
            "level": self.level,
            "origin": self.resource,
            "reference": self.place,
            "message": self.text,
        }


def message(mesh: Mesh, code: str, key: tuple[str, str, str], path: Path, text: str) -> Message:
    """A finding about a field of the resource ``key`` (kind, namespace, name)."""
    kind, namespace, name = key
    resource = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    return Message(code=code, resource=resource, text=text, place=mesh.place(*key, path))
