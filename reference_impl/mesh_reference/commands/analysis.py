"""Mistakes that only show between resources, under istioctl's codes (§4.3). Pure.

Galley's findings on single resources come first, as IST0106 and IST0133. Codes of what this mesh does not
support (gateways, EnvoyFilter, Telemetry, webhooks, several clusters) are not looked for: `CODES` is the whole list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from mesh_reference.model import hosts
from mesh_reference.model.hosts import MESH
from mesh_reference.model.protocols import Protocol
from mesh_reference.validation import galley

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.documents import Path

Json = Mapping[str, Any]
Level = Literal["Error", "Warning", "Info"]
LEVELS: tuple[Level, ...] = ("Info", "Warning", "Error")

CODES: dict[str, tuple[Level, str]] = {
    "IST0101": ("Error", "ReferencedResourceNotFound"),
    "IST0106": ("Error", "SchemaValidationError"),
    "IST0109": ("Error", "ConflictingMeshGatewayVirtualServiceHosts"),
    "IST0112": ("Error", "VirtualServiceDestinationPortSelectorRequired"),
    "IST0118": ("Info", "PortNameIsNotUnderNamingConvention"),
    "IST0127": ("Warning", "NoMatchingWorkloadsFound"),
    "IST0128": ("Warning", "NoServerCertificateVerificationDestinationLevel"),
    "IST0129": ("Warning", "NoServerCertificateVerificationPortLevel"),
    "IST0130": ("Warning", "VirtualServiceUnreachableRule"),
    "IST0131": ("Info", "VirtualServiceIneffectiveMatch"),
    "IST0133": ("Warning", "SchemaWarning"),
    "IST0173": ("Error", "DestinationRuleSubsetNotSelectPods"),
    "IST0174": ("Warning", "UnknownDestinationRuleHost"),
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


def analyze(mesh: Mesh) -> list[Message]:
    """Every finding, the worst first, then by resource."""
    found = [
        *_single(mesh),
        *_destinations(mesh),
        *_conflicts(mesh),
        *_rules(mesh),
        *_selectors(mesh),
        *_port_names(mesh),
    ]
    return sorted(found, key=lambda item: (-LEVELS.index(item.level), item.resource, item.code, item.text))


def _message(mesh: Mesh, code: str, key: tuple[str, str, str], path: Path, text: str) -> Message:
    kind, namespace, name = key
    return Message(code=code, resource=f"{kind} {namespace}/{name}", text=text, place=mesh.place(*key, path))


def _single(mesh: Mesh) -> Iterator[Message]:
    for key, resource in mesh.resources.items():
        for finding in galley.validate(resource, namespace=key[1]):
            code = "IST0106" if finding.severity == "error" else "IST0133"
            code = finding.rule if finding.rule in CODES else code
            yield _message(mesh, code, key, finding.path, finding.text)


def _written(mesh: Mesh, kind: str) -> Iterator[tuple[tuple[str, str, str], Json]]:
    """Those whose shape is sound enough to be served."""
    for key, resource in mesh.configs.items():
        if key[0] == kind:
            yield key, resource.get("spec") or {}


def _destinations(mesh: Mesh) -> Iterator[Message]:
    for key, spec in _written(mesh, "VirtualService"):
        for path, destination in each_destination(spec):
            yield from _destination(mesh, key, path, destination)


def each_destination(spec: Json) -> Iterator[tuple[Path, Json]]:
    """Every destination of a VirtualService's ``spec``, copies too, with its place."""
    for protocol in ("http", "tls", "tcp"):
        for index, route in enumerate(spec.get(protocol) or ()):
            here: Path = ("spec", protocol, index)
            for number, weighted in enumerate(route.get("route") or ()):
                yield (*here, "route", number, "destination"), weighted.get("destination") or {}
            if route.get("mirror"):
                yield (*here, "mirror"), route["mirror"]
            for number, mirror in enumerate(route.get("mirrors") or ()):
                yield (*here, "mirrors", number, "destination"), mirror.get("destination") or {}


def _destination(mesh: Mesh, key: tuple[str, str, str], path: Path, destination: Json) -> Iterator[Message]:
    configuration = mesh.configuration
    host = hosts.resolve(str(destination.get("host") or ""), key[1], configuration.settings.domain)
    service = configuration.snapshot.services.get(host)
    if service is None:
        text = f'Referenced host not found: "{destination.get("host")}"'
        yield _message(mesh, "IST0101", key, (*path, "host"), text)
        return
    subset = str(destination.get("subset") or "")
    rules = [rule for rule in configuration.snapshot.destination_rules.values() if hosts.matches(rule.host, host)]
    if subset and not any(rule.subset(subset) for rule in rules):
        text = f'Referenced host+subset in destinationrule not found: "{destination.get("host")}+{subset}"'
        yield _message(mesh, "IST0101", key, (*path, "subset"), text)
    number = (destination.get("port") or {}).get("number")
    ports = [port.number for port in service.ports]
    if number is None and len(ports) > 1:
        text = (
            f'This VirtualService routes to a service "{destination.get("host")}" that exposes multiple ports {ports}. '
            "Specifying a port in the destination is required to disambiguate."
        )
        yield _message(mesh, "IST0112", key, path, text)
    elif number is not None and int(number) not in ports:
        text = f'Referenced host:port not found: "{destination.get("host")}:{int(number)}"'
        yield _message(mesh, "IST0101", key, (*path, "port"), text)


def _conflicts(mesh: Mesh) -> Iterator[Message]:
    by_host: dict[str, list[tuple[str, str]]] = {}
    for key, service in mesh.configuration.snapshot.virtual_services.items():
        if MESH in service.gateways:
            for host in service.hosts:
                by_host.setdefault(host, []).append(key)
    for host, keys in sorted(by_host.items()):
        if len(keys) < 2:
            continue
        names = ",".join(f"{namespace}/{name}" for namespace, name in sorted(keys))
        for namespace, name in keys:
            text = (
                f"The VirtualServices {names} associated with mesh gateway define the same host {host} which can lead "
                "to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single "
                "resource."
            )
            yield _message(mesh, "IST0109", ("VirtualService", namespace, name), ("spec", "hosts"), text)


def _rules(mesh: Mesh) -> Iterator[Message]:
    snapshot, domain = mesh.configuration.snapshot, mesh.configuration.settings.domain
    for key, spec in _written(mesh, "DestinationRule"):
        host = hosts.resolve(str(spec.get("host") or ""), key[1], domain)
        covered = [known for known in snapshot.services if hosts.matches(host, known)]
        if not covered:
            text = (
                f"The host {spec.get('host')} defined in the DestinationRule does not match any services in the mesh."
            )
            yield _message(mesh, "IST0174", key, ("spec", "host"), text)
        endpoints = [item for known in covered for item in snapshot.endpoints.get(known, ())]
        for index, subset in enumerate(spec.get("subsets") or ()):
            wanted = (subset.get("labels") or {}).items()
            if covered and not any(wanted <= item.labels.items() for item in endpoints):
                text = (
                    f"The Subset {subset.get('name')} defined in the DestinationRule does not select any pods, which "
                    "may lead to 503 UH (NoHealthyUpstream)."
                )
                yield _message(mesh, "IST0173", key, ("spec", "subsets", index), text)
        yield from _unverified(mesh, key, spec)


def _unverified(mesh: Mesh, key: tuple[str, str, str], spec: Json) -> Iterator[Message]:
    policy = spec.get("trafficPolicy") or {}
    places: list[tuple[Path, Json, str]] = [(("spec", "trafficPolicy", "tls"), policy.get("tls") or {}, "IST0128")]
    places += [
        (("spec", "trafficPolicy", "portLevelSettings", index, "tls"), item.get("tls") or {}, "IST0129")
        for index, item in enumerate(policy.get("portLevelSettings") or ())
    ]
    for path, tls, code in places:
        checked = tls.get("caCertificates") or tls.get("credentialName") or tls.get("insecureSkipVerify")
        if tls.get("mode") in {"SIMPLE", "MUTUAL"} and not checked:
            text = (
                f"DestinationRule {key[1]}/{key[2]} in namespace {key[1]} has TLS mode set to {tls['mode']} but no "
                f"caCertificates are set to validate server identity for host: {spec.get('host')}"
            )
            yield _message(mesh, code, key, path, text)


def _selectors(mesh: Mesh) -> Iterator[Message]:
    pods = list(mesh.configuration.snapshot.pods.values())
    root = mesh.configuration.settings.root_namespace
    for key, resource in mesh.resources.items():
        spec = resource.get("spec") if isinstance(resource.get("spec"), dict) else {}
        for field, inner in (("selector", "matchLabels"), ("workloadSelector", "labels")):
            wanted = ((spec or {}).get(field) or {}).get(inner) if isinstance((spec or {}).get(field), dict) else None
            if not isinstance(wanted, dict) or not wanted or key[0] == "DestinationRule":
                continue
            everywhere = key[1] == root
            if not any(wanted.items() <= pod.labels.items() for pod in pods if everywhere or pod.namespace == key[1]):
                labels = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
                text = f"No matching workloads for this resource with the following labels: {labels}"
                yield _message(mesh, "IST0127", key, ("spec", field), text)


def _port_names(mesh: Mesh) -> Iterator[Message]:
    for service in mesh.configuration.snapshot.services.values():
        if service.external_name:
            continue
        key = ("Service", service.meta.namespace, service.meta.name)
        for index, port in enumerate(service.ports):
            if port.protocol is Protocol.AUTO:
                text = (
                    f"Port name {port.name} (port: {port.number}) doesn't follow the naming convention of Istio port."
                )
                yield _message(mesh, "IST0118", key, ("spec", "ports", index), text)
