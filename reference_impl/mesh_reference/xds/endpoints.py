"""EDS: the addresses of one cluster, by zone, each marked with the TLS it speaks (D1, F3). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from mesh_reference.model.destination_rules import policy_for
from mesh_reference.model.peer_authentications import MtlsMode, compose
from mesh_reference.xds import localities, names
from mesh_reference.xds.messages import socket_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mesh_reference.model.destination_rules import DestinationRule
    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.peer_authentications import PeerAuthentication
    from mesh_reference.model.services import Service
    from mesh_reference.model.snapshot import MeshSnapshot
    from mesh_reference.settings import Settings


def load_assignment(
    cluster: str,
    snapshot: MeshSnapshot,
    rule: DestinationRule | None,
    settings: Settings,
    where: localities.Where = localities.NOWHERE,
) -> endpoint_pb2.ClusterLoadAssignment:
    """The endpoints of an outbound cluster. An unknown cluster, or a subset nobody defines, has none."""
    out = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster)
    target = names.parse_outbound_cluster(cluster)
    service = snapshot.services.get(target[0]) if target else None
    if target is None or service is None:
        return out
    host, port, subset = target
    policies = _disabling(snapshot.peer_authentications.values())
    members = _members(service, port, subset, rule, snapshot.endpoints.get(host, ()))
    for group in localities.groups(members, policy_for(rule, subset, port), service, where):
        region, zone, subzone = group.locality
        added = out.endpoints.add(
            locality=base_pb2.Locality(region=region, zone=zone, sub_zone=subzone),
            load_balancing_weight=wrappers_pb2.UInt32Value(value=group.weight),
            priority=group.priority,
        )
        for endpoint, number in group.members:
            plaintext = policies and _is_disabled(policies, endpoint, number, settings)
            mode = "disabled" if plaintext else endpoint.tls_mode
            added.lb_endpoints.append(_lb_endpoint(endpoint, number, mode))
    return out


def _members(
    service: Service, port: int, subset: str, rule: DestinationRule | None, endpoints: Iterable[Endpoint]
) -> Iterator[tuple[Endpoint, int]]:
    """Ready endpoints that serve the port and have the subset's labels (D1), each with its own port number."""
    service_port = service.port(port)
    chosen = rule.subset(subset) if rule and subset else None
    if service_port is None or (subset and chosen is None):
        return
    wanted = chosen.labels if chosen else ()
    for endpoint in endpoints:
        number = endpoint.target(service_port.name)
        if endpoint.ready and number is not None and all(endpoint.labels.get(key) == value for key, value in wanted):
            yield endpoint, number


def _lb_endpoint(endpoint: Endpoint, port: int, tls_mode: str) -> endpoint_components_pb2.LbEndpoint:
    metadata = base_pb2.Metadata()
    if tls_mode == "istio":
        socket = struct_pb2.Struct()
        socket.update({"tlsMode": "istio"})
        metadata.filter_metadata["envoy.transport_socket_match"].CopyFrom(socket)
    workload = struct_pb2.Struct()
    name = endpoint.labels.get("service.istio.io/canonical-name", endpoint.workload)
    revision = endpoint.labels.get("service.istio.io/canonical-revision", "latest")
    workload.update({"workload": f"{endpoint.workload};{endpoint.namespace};{name};{revision};Kubernetes"})
    metadata.filter_metadata["istio"].CopyFrom(workload)
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=_address(endpoint.address, port)),
        health_status=health_check_pb2.HEALTHY,
        load_balancing_weight=wrappers_pb2.UInt32Value(value=endpoint.weight),
        metadata=metadata,
    )


def _address(address: str, port: int) -> address_pb2.Address:
    if address.startswith("unix://"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=address.removeprefix("unix://")))
    return socket_address(address, port)


def _disabling(policies: Iterable[PeerAuthentication]) -> list[PeerAuthentication]:
    """All policies when any of them can turn mutual TLS off, else none: the common case costs nothing."""
    found = list(policies)
    off = any(
        policy.mode is MtlsMode.DISABLE or any(mode is MtlsMode.DISABLE for _port, mode in policy.ports)
        for policy in found
    )
    return found if off else []


def _is_disabled(policies: list[PeerAuthentication], endpoint: Endpoint, port: int, settings: Settings) -> bool:
    """A server that takes plaintext only gets plaintext, whatever its label says (§3.5)."""
    effective = compose(policies, endpoint.namespace, endpoint.labels, settings.root_namespace)
    return effective.for_port(port) is MtlsMode.DISABLE
