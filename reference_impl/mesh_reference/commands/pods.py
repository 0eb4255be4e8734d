"""Asking the running mesh: a sidecar's Envoy, and the control plane's debug pages, each through a port-forward."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mesh_reference.errors import ApiFailure
from mesh_reference.kube import forwarding
from mesh_reference.kube.resources import PODS

if TYPE_CHECKING:
    from mesh_reference.kube.client import Kube

Json = dict[str, Any]

ENVOY_ADMIN, DEBUG = 15000, 8080
ISTIOD = "app=istiod"


def split_name(name: str, namespace: str) -> tuple[str, str]:
    """(namespace, pod) of ``pod``, ``pod.namespace`` or ``namespace/pod``; ``namespace`` counts where none is named."""
    owner, slash, pod = name.partition("/")
    if slash:
        return owner, pod
    pod, dot, owner = name.partition(".")
    return (owner, pod) if dot else (namespace, pod)


async def envoy_dump(kube: Kube, namespace: str, pod: str) -> Json:
    """The whole ``/config_dump`` of a pod's Envoy, endpoints with it."""
    data = await forwarding.get(kube, namespace, pod, ENVOY_ADMIN, "/config_dump?include_eds")
    found: Json = _json(data, "config_dump")
    return found


async def envoy_clusters(kube: Kube, namespace: str, pod: str) -> Json:
    """``/clusters`` of a pod's Envoy: each host of each cluster, as DNS resolved it, with its health."""
    found: Json = _json(await forwarding.get(kube, namespace, pod, ENVOY_ADMIN, "/clusters?format=json"), "clusters")
    return found


async def debug_pages(kube: Kube, root_namespace: str, page: str) -> dict[str, Any]:
    """``/debug/<page>`` of every running control plane, by its pod's name. Raises ApiFailure when none runs."""
    names = await istiods(kube, root_namespace)
    return {name: await debug_page(kube, root_namespace, name, page) for name in names}


async def debug_page(kube: Kube, root_namespace: str, istiod: str, page: str) -> Any:
    """``/debug/<page>`` of one control plane."""
    return _json(await forwarding.get(kube, root_namespace, istiod, DEBUG, f"/debug/{page}"), page)


async def istiods(kube: Kube, root_namespace: str) -> list[str]:
    """The pods of the control planes that run. Raises ApiFailure when none does."""
    pods = await kube.list(PODS, root_namespace, label_selector=ISTIOD)
    running: list[str] = [
        pod["metadata"]["name"] for pod in pods if (pod.get("status") or {}).get("phase") == "Running"
    ]
    if not running:
        raise ApiFailure(f"no control plane runs in namespace {root_namespace} (pods with {ISTIOD})")
    return sorted(running)


def _json(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise ApiFailure(f"{what}: not JSON: {error}") from error
