"""What the mesh does with one pod or one Service, in lines (§5, ``istioctl x describe``). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mesh_reference.commands.analysis import each_destination
from mesh_reference.errors import MeshError
from mesh_reference.model import hosts
from mesh_reference.model.peer_authentications import compose
from mesh_reference.model.services import hostname

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.services import Service


class UnknownServiceError(MeshError):
    """No Service of that name; ``str()`` lists those that are there."""


def pod(mesh: Mesh, proxy: Proxy) -> list[str]:
    """The pod, its mutual TLS, the Services that lead to it, and what is missing."""
    snapshot, settings = mesh.configuration.snapshot, mesh.configuration.settings
    mtls = compose(snapshot.peer_authentications.values(), proxy.namespace, proxy.labels, settings.root_namespace)
    lines = [
        f"Pod: {proxy.id}",
        f"   Address: {proxy.address}",
        f"   Identity: spiffe://{settings.trust_domain}/ns/{proxy.namespace}/sa/{proxy.service_account}",
        f"Effective PeerAuthentication: {mtls.mode}",
        *(f"   port {port}: {mode}" for port, mode in mtls.ports),
    ]
    if proxy.labels.get("security.istio.io/tlsMode") != "istio":
        lines.append("WARNING: the pod has no sidecar (label security.istio.io/tlsMode is not istio)")
    lines += [
        f"WARNING: the pod has no label {label!r}, which subsets and telemetry go by"
        for label in ("app", "version")
        if not proxy.labels.get(label)
    ]
    known = sorted(snapshot.hosts_at.get(proxy.address, ()))
    if not known:
        lines.append("WARNING: no Service leads to this pod")
    for host in known:
        if host in snapshot.services:
            lines += ["--------------------", *_service(mesh, snapshot.services[host], proxy)]
    return lines


def service(mesh: Mesh, name: str) -> list[str]:
    """The Service ``namespace/name``: ports, rules, routes, endpoints. Raises `UnknownServiceError`."""
    namespace, slash, short = name.rpartition("/")
    host = hostname(short, namespace if slash else "default", mesh.configuration.settings.domain)
    found = mesh.configuration.snapshot.services.get(host)
    if found is None:
        known = sorted(
            f"{item.meta.namespace}/{item.meta.name}" for item in mesh.configuration.snapshot.services.values()
        )
        raise UnknownServiceError(f"no Service {name}; there are: {', '.join(known) or 'none'}")
    return list(_service(mesh, found, None))


def _service(mesh: Mesh, found: Service, proxy: Proxy | None) -> Iterator[str]:
    snapshot = mesh.configuration.snapshot
    yield f"Service: {found.meta.name}.{found.meta.namespace}"
    for port in found.ports:
        yield f"   Port: {port.name or '(unnamed)'} {port.number}/{port.protocol}"
    endpoints = snapshot.endpoints.get(found.hostname, ())
    ready = [item for item in endpoints if item.ready]
    yield f"   Endpoints: {len(ready)} ready of {len(endpoints)}"
    if not ready:
        yield "   WARNING: no endpoint is ready: requests get 503 UH"
    yield from _rules(mesh, found, endpoints, proxy)
    yield from _routes(mesh, found)


def _rules(mesh: Mesh, found: Service, endpoints: tuple[Endpoint, ...], proxy: Proxy | None) -> Iterator[str]:
    for (namespace, name), rule in sorted(mesh.configuration.snapshot.destination_rules.items()):
        if not hosts.matches(rule.host, found.hostname):
            continue
        place = mesh.place("DestinationRule", namespace, name, ("spec",))
        yield f"DestinationRule: {name}.{namespace} for {rule.host!r}" + (f"   [{place}]" if place else "")
        for subset in rule.subsets:
            wanted = dict(subset.labels).items()
            chosen = [item for item in endpoints if wanted <= item.labels.items()]
            mine = proxy is not None and wanted <= proxy.labels.items()
            yield f"   Subset {subset.name}: {len(chosen)} endpoints" + (", this pod among them" if mine else "")
            if not chosen:
                yield f"   WARNING: subset {subset.name} selects no pod: requests to it get 503 UH"
        if (
            rule.subsets
            and proxy is not None
            and not any(dict(s.labels).items() <= proxy.labels.items() for s in rule.subsets)
        ):
            yield "   WARNING: the pod is in none of these subsets"


def _routes(mesh: Mesh, found: Service) -> Iterator[str]:
    domain = mesh.configuration.settings.domain
    for (namespace, name), item in sorted(mesh.configuration.snapshot.virtual_services.items()):
        spec = (mesh.configs.get(("VirtualService", namespace, name)) or {}).get("spec") or {}
        goals = {
            hosts.resolve(str(goal.get("host") or ""), namespace, domain)
            + (f" subset {goal['subset']}" if goal.get("subset") else "")
            for _, goal in each_destination(spec)
        }
        takes = any(hosts.matches(host, found.hostname) for host in item.hosts)
        if not takes and not any(goal.partition(" ")[0] == found.hostname for goal in goals):
            continue
        place = mesh.place("VirtualService", namespace, name, ("spec",))
        word = "takes requests to it" if takes else "sends requests to it"
        yield f"VirtualService: {name}.{namespace} {word}" + (f"   [{place}]" if place else "")
        yield f"   {len(item.http)} HTTP routes, to {', '.join(sorted(goals)) or 'nowhere'}"
        for warning in item.warnings:
            yield f"   WARNING: {warning}"
