"""Mistakes that only show between resources, under istioctl's codes (§4.3). Pure.

Galley's findings on single resources come first, as IST0106 and IST0133. Codes of what this mesh does not
support (EnvoyFilter, Telemetry, the Gateway API, webhooks, several clusters) are not looked for: `CODES` is the whole list.
Gateways and workloads have modules of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.commands import analysis_gateways, analysis_workloads
from mesh_reference.commands.analysis_messages import CODES, LEVELS, Message, message
from mesh_reference.model import hosts
from mesh_reference.model.hosts import MESH
from mesh_reference.model.protocols import Protocol, of_name
from mesh_reference.validation import galley

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.documents import Path

Json = Mapping[str, Any]


def analyze(mesh: Mesh) -> list[Message]:
    """Every finding, the worst first, then by resource."""
    found = [
        *_single(mesh),
        *analysis_gateways.find(mesh),
        *analysis_workloads.find(mesh),
        *_entries(mesh),
        *_sidecars(mesh),
        *_destinations(mesh),
        *_conflicts(mesh),
        *_rules(mesh),
        *_selectors(mesh),
        *_port_names(mesh),
    ]
    return sorted(found, key=lambda item: (-LEVELS.index(item.level), item.resource, item.code, item.text))


def _single(mesh: Mesh) -> Iterator[Message]:
    for key, resource in mesh.resources.items():
        for finding in galley.validate(resource, namespace=key[1]):
            code = "IST0106" if finding.severity == "error" else "IST0133"
            code = finding.rule if finding.rule in CODES else code
            yield message(mesh, code, key, finding.path, finding.text)


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
        yield message(mesh, "IST0101", key, (*path, "host"), text)
        return
    subset = str(destination.get("subset") or "")
    rules = [rule for rule in configuration.snapshot.destination_rules.values() if hosts.matches(rule.host, host)]
    if subset and not any(rule.subset(subset) for rule in rules):
        text = f'Referenced host+subset in destinationrule not found: "{destination.get("host")}+{subset}"'
        yield message(mesh, "IST0101", key, (*path, "subset"), text)
    number = (destination.get("port") or {}).get("number")
    ports = [port.number for port in service.ports]
    if number is None and len(ports) > 1:
        text = (
            f'This VirtualService routes to a service "{destination.get("host")}" that exposes multiple ports {ports}. '
            "Specifying a port in the destination is required to disambiguate."
        )
        yield message(mesh, "IST0112", key, path, text)
    elif number is not None and int(number) not in ports:
        text = f'Referenced host:port not found: "{destination.get("host")}:{int(number)}"'
        yield message(mesh, "IST0101", key, (*path, "port"), text)


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
            yield message(mesh, "IST0109", ("VirtualService", namespace, name), ("spec", "hosts"), text)


def _rules(mesh: Mesh) -> Iterator[Message]:
    snapshot, domain = mesh.configuration.snapshot, mesh.configuration.settings.domain
    for key, spec in _written(mesh, "DestinationRule"):
        host = hosts.resolve(str(spec.get("host") or ""), key[1], domain)
        covered = [known for known in snapshot.services if hosts.matches(host, known)]
        if not covered:
            text = (
                f"The host {spec.get('host')} defined in the DestinationRule does not match any services in the mesh."
            )
            yield message(mesh, "IST0174", key, ("spec", "host"), text)
        endpoints = [item for known in covered for item in snapshot.endpoints.get(known, ())]
        for index, subset in enumerate(spec.get("subsets") or ()):
            wanted = (subset.get("labels") or {}).items()
            if covered and not any(wanted <= item.labels.items() for item in endpoints):
                text = (
                    f"The Subset {subset.get('name')} defined in the DestinationRule does not select any pods, which "
                    "may lead to 503 UH (NoHealthyUpstream)."
                )
                yield message(mesh, "IST0173", key, ("spec", "subsets", index), text)
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
            yield message(mesh, code, key, path, text)


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
                yield message(mesh, "IST0127", key, ("spec", field), text)


def _entries(mesh: Mesh) -> Iterator[Message]:
    """IST0134, IST0177."""
    protocols: dict[tuple[str, int], dict[tuple[str, str, str], str]] = defaultdict(dict)
    for key, spec in _written(mesh, "ServiceEntry"):
        for index, port in enumerate(spec.get("ports") or ()):
            protocol = str(port.get("protocol") or "").upper()
            if of_name(protocol) is Protocol.TCP and not spec.get("addresses"):
                text = "ServiceEntry addresses are required for this protocol."
                yield message(mesh, "IST0134", key, ("spec", "ports", index, "protocol"), text)
            for host in spec.get("hosts") or ():
                protocols[str(host), int(port.get("number") or 0)][key] = protocol
    for (host, number), by_entry in sorted(protocols.items()):
        if len(set(by_entry.values())) < 2:
            continue
        names = ", ".join(f"{namespace}/{name}" for _, namespace, name in sorted(by_entry))
        for key in by_entry:
            text = (
                f'Multiple ServiceEntries ({names}) define the same host "{host}" and port {number} with conflicting '
                f"protocols ({', '.join(sorted(set(by_entry.values())))})."
            )
            yield message(mesh, "IST0177", key, ("spec", "ports"), text)


def _sidecars(mesh: Mesh) -> Iterator[Message]:
    """IST0110, IST0111: of several for a workload, or for a namespace, only the oldest counts."""
    pods = sorted(mesh.configuration.snapshot.pods.values(), key=lambda pod: pod.name)
    plain: dict[str, list[str]] = defaultdict(list)
    chosen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (_, namespace, name), spec in _written(mesh, "Sidecar"):
        wanted = (spec.get("workloadSelector") or {}).get("labels") or {}
        if not wanted:
            plain[namespace].append(name)
        for pod in pods if wanted else ():
            if pod.namespace == namespace and wanted.items() <= pod.labels.items():
                chosen[namespace, pod.name].append(name)
    told: set[tuple[str, str]] = set()
    for (namespace, pod_name), names in chosen.items():
        for name in names if len(names) > 1 else ():
            if (namespace, name) not in told:
                told.add((namespace, name))
                text = (
                    f'The Sidecars [{" ".join(sorted(names))}] in namespace "{namespace}" select the same workload pod '
                    f'"{pod_name}", which can lead to undefined behavior.'
                )
                yield message(mesh, "IST0110", ("Sidecar", namespace, name), ("spec", "workloadSelector"), text)
    for namespace, names in plain.items():
        for name in names if len(names) > 1 else ():
            text = (
                f'The Sidecars [{" ".join(sorted(names))}] in namespace "{namespace}" have no workload selector, which can '
                "lead to undefined behavior."
            )
            yield message(mesh, "IST0111", ("Sidecar", namespace, name), ("spec",), text)


def _port_names(mesh: Mesh) -> Iterator[Message]:
    """IST0118, IST0150."""
    for service in mesh.configuration.snapshot.services.values():
        key = ("Service", service.meta.namespace, service.meta.name)
        for index, port in enumerate(service.ports):
            if port.protocol is not Protocol.AUTO:
                continue
            if service.external_name:
                text = (
                    "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched "
                    "traffic for ports serving TCP protocol from being forwarded correctly"
                )
                yield message(mesh, "IST0150", key, ("spec", "ports", index), text)
            elif key in mesh.objects:
                text = (
                    f"Port name {port.name} (port: {port.number}) doesn't follow the naming convention of Istio port."
                )
                yield message(mesh, "IST0118", key, ("spec", "ports", index), text)
