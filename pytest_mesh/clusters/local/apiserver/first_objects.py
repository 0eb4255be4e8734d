"""What a cluster holds before anybody asks for anything: namespaces, roles, priorities and the Service ``kubernetes``.

Everything else that a cluster has by itself (ServiceAccounts, kube-root-ca.crt, kube-dns, the Node) its controllers
and its node make, as clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import builtins, rights, writing
from pytest_mesh.clusters.local.apiserver.pki import SERVICE_ADDRESS
from pytest_mesh.clusters.local.apiserver.requests import Target, WriteOptions
from pytest_mesh.clusters.local.apiserver.users import ADMIN

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

_PRIORITIES = {
    "system-node-critical": (
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
}
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

_NAME = {"name": "kubernetes", "namespace": "default"}


async def create(server: Server, *, port: int) -> None:
    """Store the first objects; ``port`` is the one that the API listens on at the node's address."""
    for role in builtins.load("roles.json.gz"):
        if role["metadata"].get("namespace") is None:
            await _create(server, rights.GROUP, f"{role['kind'].lower()}s", role)
    for name, (value, text) in _PRIORITIES.items():
        head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        await _create(server, "scheduling.k8s.io", "priorityclasses", {**head, "value": value, "description": text})
    for name in NAMESPACES:
        await _create(server, "", "namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for role in builtins.load("roles.json.gz"):
        if role["metadata"].get("namespace") is not None:
            await _create(server, rights.GROUP, f"{role['kind'].lower()}s", role)
    for group, plural, obj in (
        ("", "services", _service(port)),
        ("", "endpoints", _endpoints(server.node_address, port)),
        ("discovery.k8s.io", "endpointslices", _slice(server.node_address, port)),
    ):
        await _create(server, group, plural, obj)


async def _create(server: Server, group: str, plural: str, obj: Json) -> None:
    info = server.registry.find(group, "v1", plural)
    if info is None:
        raise RuntimeError(f"the built-in resources lack {plural}")
    target = Target(info=info, namespace=obj["metadata"].get("namespace", ""), name="", subresource="")
    options = WriteOptions(user=ADMIN, manager="kube-apiserver", validation="Strict")
    await writing.create(server, target, obj, options)


def _service(port: int) -> Json:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]
    spec = {"clusterIP": SERVICE_ADDRESS, "type": "ClusterIP", "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**_NAME, "labels": labels}, "spec": spec}


def _endpoints(address: str, port: int) -> Json:
    # The label keeps the EndpointSlice controllers' mirroring away, as kube-apiserver does.
    metadata = {**_NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}
    subset = {"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]}


def _slice(address: str, port: int) -> Json:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_NAME, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
