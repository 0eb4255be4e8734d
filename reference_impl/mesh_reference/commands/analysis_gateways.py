"""Mistakes between Gateways, their workloads and the VirtualServices that are bound to them: IST0101, 0132, 0145, 0162. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.commands.analysis_messages import Message, message
from mesh_reference.model import hosts
from mesh_reference.model.hosts import MESH, gateway_name

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.model.gateways import Gateway

Json = Mapping[str, Any]


def find(mesh: Mesh) -> Iterator[Message]:
    """Every finding that concerns a Gateway."""
    yield from _bound(mesh)
    for gateway in mesh.configuration.snapshot.gateways.values():
        yield from _workloads(mesh, gateway)
    yield from _conflicts(mesh)


def _bound(mesh: Mesh) -> Iterator[Message]:
    """IST0101 for a Gateway that is not there, IST0132 for hosts that none of its servers takes."""
    gateways = mesh.configuration.snapshot.gateways
    for (namespace, name), item in mesh.configuration.snapshot.virtual_services.items():
        key = ("VirtualService", namespace, name)
        spec: Json = (mesh.configs.get(key) or {}).get("spec") or {}
        for index, written in enumerate(spec.get("gateways") or ()):
            owner, _, short = gateway_name(str(written), namespace).rpartition("/")
            if written == MESH:
                continue
            found = gateways.get((owner, short))
            if found is None:
                text = f'Referenced gateway not found: "{written}"'
                yield message(mesh, "IST0101", key, ("spec", "gateways", index), text)
            servers = found.servers if found else ()
            lost = [host for host in item.hosts if not any(server.common(namespace, host) for server in servers)]
            if lost:
                text = (
                    f"one or more host [{' '.join(lost)}] defined in VirtualService {namespace}/{name} not found in "
                    f"Gateway {owner}/{short}."
                )
                yield message(mesh, "IST0132", key, ("spec", "hosts"), text)


def _workloads(mesh: Mesh, gateway: Gateway) -> Iterator[Message]:
    """IST0101 for a selector that takes no pod, IST0162 for a port that no Service of its pods leads to."""
    key = ("Gateway", gateway.meta.namespace, gateway.meta.name)
    pods = [pod for pod in mesh.configuration.snapshot.pods.values() if gateway.selects(pod.labels)]
    if gateway.selector and not pods:
        text = f'Referenced selector not found: "{_labels(gateway)}"'
        yield message(mesh, "IST0101", key, ("spec", "selector"), text)
    known: set[int] = set()
    leads = False
    for pod in pods:
        for (kind, namespace, _), raw in mesh.objects.items():
            spec = raw.get("spec") or {}
            selector = spec.get("selector") or {}
            if (
                kind != "Service"
                or namespace != pod.namespace
                or not selector
                or not selector.items() <= pod.labels.items()
            ):
                continue
            leads = True
            for port in spec.get("ports") or ():
                known |= {value for value in (port.get("port"), port.get("targetPort")) if isinstance(value, int)}
    for index, server in enumerate(gateway.servers):
        if leads and server.port not in known:
            text = (
                f"The gateway is listening on a target port (port {server.port}) that is not defined in the Service "
                f"associated with its workload instances (Pod selector {_labels(gateway)}). If you need to access the "
                "gateway port through the gateway Service, it will not be available."
            )
            yield message(mesh, "IST0162", key, ("spec", "servers", index, "port"), text)


def _conflicts(mesh: Mesh) -> Iterator[Message]:
    """IST0145: Gateways of one selector that take the same hosts on one port."""
    found = sorted(mesh.configuration.snapshot.gateways.values(), key=lambda item: item.name)
    for gateway in found:
        for index, server in enumerate(gateway.servers):
            same = [
                other.name
                for other in found
                if other is not gateway
                and other.selector == gateway.selector
                and any(
                    theirs.port == server.port and _share(theirs.hosts, server.hosts)
                    for theirs in other.servers
                )
            ]  # fmt: skip
            if same:
                key = ("Gateway", gateway.meta.namespace, gateway.meta.name)
                told = ",".join(host if owner == "*" else f"{owner}/{host}" for owner, host in server.hosts)
                text = (
                    f"Conflict with gateways {','.join(same)} (workload selector {_labels(gateway)}, port {server.port}, "
                    f"hosts {told})."
                )
                yield message(mesh, "IST0145", key, ("spec", "servers", index), text)


def _share(left: tuple[tuple[str, str], ...], right: tuple[tuple[str, str], ...]) -> bool:
    return any(
        (own == other or "*" in {own, other}) and (hosts.matches(one, two) or hosts.matches(two, one))
        for own, one in left
        for other, two in right
    )


def _labels(gateway: Gateway) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(gateway.selector))
