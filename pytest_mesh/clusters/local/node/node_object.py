"""The Node object and its Lease: what the cluster knows of its one machine."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import platform
from typing import TYPE_CHECKING, Final

from pytest_mesh.clusters.local.apiclient import ApiError
from pytest_mesh.clusters.local.network.pods import NODE_ADDRESS, POD_RANGE
from pytest_mesh.clusters.local.node.parts import NODE_NAME, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

KUBELET_VERSION: Final = "v1.34.4"
_LEASE_SECONDS: Final = 40
_RENEW_SECONDS: Final = 10.0
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def labels() -> dict[str, str]:
    """Give the Node's labels."""
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    return {
        "kubernetes.io/hostname": NODE_NAME,
        "kubernetes.io/os": "linux",
        "node-role.kubernetes.io/control-plane": "",
        "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture,
    }


def capacity() -> dict[str, str]:
    """Give the machine's processors and memory, and how many pods the node takes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory // 1024}Ki",
        "pods": "1000",
        "ephemeral-storage": "1Ti",
    }


def node_object(amounts: Mapping[str, str]) -> Json:
    """Give the Node."""
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE_NAME, "labels": labels()}, "spec": {
        "podCIDR": POD_RANGE, "podCIDRs": [POD_RANGE], "providerID": f"mesh://{NODE_NAME}",
    }, "status": node_status(amounts)}  # fmt: skip


def node_status(amounts: Mapping[str, str]) -> Json:
    """Give the Node's status: Ready, and nothing that presses."""
    stamp = now()
    machine = platform.machine()
    pressures = {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID"),
        "Ready": ("True", "KubeletReady"),
    }
    return {
        "capacity": dict(amounts),
        "allocatable": dict(amounts),
        "addresses": [
            {"type": "InternalIP", "address": NODE_ADDRESS},
            {"type": "Hostname", "address": NODE_NAME},
        ],
        "conditions": [
            {"type": kind, "status": value, "reason": reason, "message": reason, "lastHeartbeatTime": stamp,
             "lastTransitionTime": stamp}
            for kind, (value, reason) in pressures.items()
        ],
        "nodeInfo": {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "bootID": "",
            "containerRuntimeVersion": "mesh://1",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "pytest-mesh embedded node",
            "systemUUID": "",
        },
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    }  # fmt: skip


async def keep(client: ApiClient, amounts: Mapping[str, str]) -> None:
    """Create the Node and renew its Lease for ever."""
    try:
        await client.create("/api/v1/nodes", node_object(amounts))
    except ApiError as error:
        if error.status != 409:
            raise
    # A server that keeps status apart from the object drops it on create.
    await client.patch(f"/api/v1/nodes/{NODE_NAME}/status", {"status": node_status(amounts)})
    await _untaint(client)
    collection = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    while True:
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": NODE_NAME, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": stamp}
        try:
            try:
                await client.patch(f"{collection}/{NODE_NAME}", {"spec": spec})
            except ApiError as error:
                if error.status != 404:
                    raise
                lease = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": NODE_NAME}}
                await client.create(collection, {**lease, "spec": spec})
        except ApiError as error:
            log.warning("the node's Lease was not renewed: %s", error)
        await asyncio.sleep(_RENEW_SECONDS)


async def _untaint(client: ApiClient) -> None:
    """Take away the taint that a real API server's admission gives to each new Node: nobody else does here."""
    node = await client.get(f"/api/v1/nodes/{NODE_NAME}")
    taints = (node.get("spec") or {}).get("taints") or []
    left = [taint for taint in taints if taint["key"] != "node.kubernetes.io/not-ready"]
    if left != taints:
        await client.patch(f"/api/v1/nodes/{NODE_NAME}", {"spec": {"taints": left or None}})


async def say_leaving(client: ApiClient) -> None:
    """Say in the Node's status that it is shutting down, and keep new Pods away."""
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "KubeletNotReady",
        "message": "node is shutting down",
        "lastTransitionTime": now(),
    }
    node = await client.get(f"/api/v1/nodes/{NODE_NAME}")
    others = [each for each in node["status"].get("conditions") or () if each["type"] != "Ready"]
    await client.patch(f"/api/v1/nodes/{NODE_NAME}/status", {"status": {"conditions": [*others, condition]}})
    await client.patch(f"/api/v1/nodes/{NODE_NAME}", {"spec": {"unschedulable": True}})
