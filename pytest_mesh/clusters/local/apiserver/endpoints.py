"""Which addresses stand behind a Service: a reading of the stored EndpointSlices and Endpoints.

Pure over the store. It does not write either (the controllers do) and does not balance load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.contracts import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One ready address of a Service's port. ``pod`` is the Pod's name, empty if no Pod stands behind it."""

    address: str
    port: int
    pod: str = ""


def ready(store: Store, namespace: str, service: str, port_name: str) -> list[Endpoint]:
    """Give the ready endpoints of a Service's port, by the port's name ("" = the unnamed one).

    EndpointSlices decide; Endpoints are read only when the Service has no slice at all.
    """
    slices = [
        one
        for one in store.list("endpointslices.discovery.k8s.io", namespace)
        if (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == service
    ]
    if slices:
        return [endpoint for one in slices for endpoint in _of_slice(one, port_name)]
    endpoints = store.get("endpoints", namespace, service)
    return [] if endpoints is None else list(_of_endpoints(endpoints, port_name))


def _of_slice(one: Json, port_name: str) -> Iterator[Endpoint]:
    ports = [p["port"] for p in one.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")]
    for endpoint in one.get("endpoints") or ():
        # An absent condition means ready.
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        for port in ports:
            for address in endpoint.get("addresses") or ():
                yield Endpoint(address=address, port=port, pod=_pod(endpoint))


def _of_endpoints(endpoints: Json, port_name: str) -> Iterator[Endpoint]:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            if (port.get("name") or "") == port_name:
                for address in subset.get("addresses") or ():
                    yield Endpoint(address=address["ip"], port=port["port"], pod=_pod(address))


def _pod(holder: Json) -> str:
    ref = holder.get("targetRef") or {}
    name: str = ref.get("name", "") if ref.get("kind") == "Pod" else ""
    return name
