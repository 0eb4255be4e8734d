"""What a Service and its Pods say in EndpointSlices and in Endpoints.

Pure: (Service, Pods) -> the objects that should exist, and Endpoints written by
hand -> their mirrored EndpointSlices. IPv4 only; topology hints are not given.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.controllers.objects import (
    is_being_deleted,
    labels_of,
    matches_labels,
    owner_reference,
    pod_is_over,
    pod_is_ready,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_mesh.contracts import Json

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io"
ENDPOINTS_CONTROLLER = "endpoint-controller"
ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
HEADLESS = "service.kubernetes.io/headless"
SLICE_SIZE = 100
"""Endpoints in one EndpointSlice at most, as kube-controller-manager's default."""

Ports = tuple[tuple[str, str, int, str], ...]
"""(name, protocol, target port number, appProtocol) of each Service port that a Pod can serve."""


def selects(service: Json) -> bool:
    """Tell whether this Service's endpoints are made from Pods."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def chosen_pods(service: Json, pods: Iterable[Json]) -> list[Json]:
    """Give the Pods behind the Service that have an address and are not over, by name."""
    selector = service["spec"]["selector"]
    return sorted(
        (
            pod
            for pod in pods
            if matches_labels(selector, labels_of(pod))
            and (pod.get("status") or {}).get("podIP")
            and not pod_is_over(pod)
        ),
        key=lambda pod: pod["metadata"]["name"],
    )


def resolved_ports(service: Json, pod: Json) -> Ports:
    """Give the Service's ports as numbers of this Pod; a named port that it lacks is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        number = _target(port.get("targetPort", port["port"]), protocol, port["port"], pod)
        if number is not None:
            found.append((port.get("name", ""), protocol, number, port.get("appProtocol", "")))
    return tuple(found)


def slices_for(service: Json, pods: Iterable[Json]) -> list[Json]:
    """Give the EndpointSlices that a Service with a selector should have; one without endpoints when it has none."""
    groups: defaultdict[Ports, list[Json]] = defaultdict(list)
    has_ports = bool(service["spec"].get("ports"))
    for pod in chosen_pods(service, pods):
        ports = resolved_ports(service, pod)
        if ports or not has_ports:
            groups[ports].append(endpoint_of(service, pod))
    if not groups:
        return [_slice(service, CONTROLLER, (), [], 0)]
    return [
        _slice(service, CONTROLLER, ports, endpoints[start : start + SLICE_SIZE], start)
        for ports, endpoints in sorted(groups.items())
        for start in range(0, len(endpoints), SLICE_SIZE)
    ]


def endpoint_of(service: Json, pod: Json) -> Json:
    """Give one Pod's entry in an EndpointSlice."""
    terminating = is_being_deleted(pod)
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    serving = publish or pod_is_ready(pod)
    endpoint: Json = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": publish or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": _target_reference(pod),
    }
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    hostname = _hostname(service, pod)
    if hostname:
        endpoint["hostname"] = hostname
    return endpoint


def endpoints_for(service: Json, pods: Iterable[Json]) -> Json:
    """Give the Endpoints object that a Service with a selector should have."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: defaultdict[Ports, tuple[list[Json], list[Json]]] = defaultdict(lambda: ([], []))
    has_ports = bool(service["spec"].get("ports"))
    for pod in chosen_pods(service, pods):
        ports = resolved_ports(service, pod)
        if (has_ports and not ports) or (is_being_deleted(pod) and not publish):
            continue
        address = {"ip": pod["status"]["podIP"], "targetRef": _target_reference(pod)}
        if pod["spec"].get("nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        hostname = _hostname(service, pod)
        if hostname:
            address["hostname"] = hostname
        groups[ports][0 if publish or pod_is_ready(pod) else 1].append(address)
    subsets = []
    for ports, (ready, not_ready) in sorted(groups.items()):
        subset: Json = {}
        if ready:
            subset["addresses"] = ready
        if not_ready:
            subset["notReadyAddresses"] = not_ready
        if ports:
            subset["ports"] = [_port(*port, always_named=False) for port in ports]
        subsets.append(subset)
    metadata = service["metadata"]
    labels = {**labels_of(service), ENDPOINTS_MANAGED_BY: ENDPOINTS_CONTROLLER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
        "subsets": subsets,
    }


def mirrored_slices(service: Json, endpoints: Json) -> list[Json]:
    """Give the EndpointSlices that mirror Endpoints which someone wrote for a Service without a selector."""
    slices = []
    for number, subset in enumerate(endpoints.get("subsets") or ()):
        entries = [
            _mirrored(address, ready=ready)
            for key, ready in (("addresses", True), ("notReadyAddresses", False))
            for address in subset.get(key) or ()
        ]
        ports = tuple(
            (port.get("name", ""), port.get("protocol", "TCP"), port["port"], port.get("appProtocol", ""))
            for port in subset.get("ports") or ()
        )
        slices += [
            _slice(service, MIRRORING_CONTROLLER, ports, entries[start : start + SLICE_SIZE], number * 1000 + start)
            for start in range(0, len(entries), SLICE_SIZE)
        ]
    return slices


def is_mirrored(endpoints: Json) -> bool:
    """Tell whether Endpoints want a mirror: written by no controller and not marked to be skipped."""
    labels = labels_of(endpoints)
    annotations = endpoints["metadata"].get("annotations") or {}
    return (
        labels.get(SKIP_MIRROR) != "true"
        and ENDPOINTS_MANAGED_BY not in labels
        and "control-plane.alpha.kubernetes.io/leader" not in annotations
    )


def same_content(wanted: Json, existing: Json) -> bool:
    """Tell whether ``existing`` already says what ``wanted`` says (labels, ports, endpoints, subsets)."""
    return (
        labels_of(wanted) == labels_of(existing)
        and _plain(wanted.get("endpoints")) == _plain(existing.get("endpoints"))
        and _plain(wanted.get("ports")) == _plain(existing.get("ports"))
        and _plain(wanted.get("subsets")) == _plain(existing.get("subsets"))
    )


def _plain(value: Sequence[Json] | None) -> list[Json]:
    return list(value or ())


def _slice(service: Json, controller: str, ports: Ports, endpoints: list[Json], number: int) -> Json:
    metadata = service["metadata"]
    labels = {
        **{name: value for name, value in labels_of(service).items() if name != HEADLESS},
        SERVICE_NAME: metadata["name"],
        MANAGED_BY: controller,
    }
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    suffix = hashlib.blake2b(f"{controller}/{ports}/{number}".encode(), digest_size=3).hexdigest()[:5]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [_port(*port, always_named=True) for port in ports],
    }


def _port(name: str, protocol: str, number: int, app_protocol: str, *, always_named: bool) -> Json:
    port: Json = {"port": number, "protocol": protocol}
    if name or always_named:
        port["name"] = name
    if app_protocol:
        port["appProtocol"] = app_protocol
    return port


def _target(target: int | str, protocol: str, port: int, pod: Json) -> int | None:
    if isinstance(target, int):
        return target or port
    if target.isdigit():
        return int(target)
    # A native sidecar is an init container, and its ports count as a container's.
    spec = pod["spec"]
    sidecars = [entry for entry in spec.get("initContainers") or () if entry.get("restartPolicy") == "Always"]
    for container in [*spec.get("containers", ()), *sidecars]:
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and candidate.get("protocol", "TCP") == protocol:
                number: int = candidate["containerPort"]
                return number
    return None


def _target_reference(pod: Json) -> Json:
    metadata = pod["metadata"]
    return {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}


def _hostname(service: Json, pod: Json) -> str:
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        hostname: str = spec["hostname"]
        return hostname
    return ""


def _mirrored(address: Json, *, ready: bool) -> Json:
    entry: Json = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for name in ("hostname", "nodeName", "targetRef"):
        if address.get(name):
            entry[name] = address[name]
    return entry
