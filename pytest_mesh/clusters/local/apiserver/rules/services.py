"""The rules of Services. Addresses are allotted elsewhere (``services`` beside this package). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver.rules.faults import (
    address,
    duplicate,
    forbidden,
    labels,
    named,
    network,
    one_of,
    port,
    port_or_name,
    public,
    qualified,
    required,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
POLICIES = ("Cluster", "Local")
NODE_PORTS = range(30000, 32768)
BALANCED = "may only be used when `type` is 'LoadBalancer'"


def check(service: Json, old: Json | None) -> Iterator[Cause]:
    """Check a Service."""
    spec = service["spec"]
    kind, ports = spec["type"], spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and kind != "ExternalName" and not headless:
        yield required("spec.ports")
    if kind == "LoadBalancer" and headless:
        yield wrong("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services")
    if kind == "NodePort" and headless:
        yield wrong("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services")
    if kind == "ExternalName":
        yield from _external(spec)
    yield from _ports(ports, kind)
    yield from labels(spec.get("selector"), "spec.selector")
    yield from one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from _affinity(spec)
    for index, value in enumerate(spec.get("externalIPs") or ()):
        yield from address(f"spec.externalIPs[{index}]", value)
        yield from public(f"spec.externalIPs[{index}]", value)
    if kind not in TYPES:
        yield unsupported("spec.type", kind, TYPES)
    yield from _balancing(spec, kind)
    yield from _traffic(spec, kind)
    if kind != "ExternalName":
        yield from _addresses(spec, headless=headless)
    yield from one_of(
        "spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), ("PreferDualStack", "RequireDualStack", "SingleStack")
    )
    if old is not None:
        yield from _changes(spec, old["spec"])


def _external(spec: Json) -> Iterator[Cause]:
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        yield required("spec.externalName")
    else:
        yield from named("spec.externalName", name, "subdomain")


def _ports(ports: list[Json], kind: str) -> Iterator[Cause]:
    names: set[str] = set()
    for index, one in enumerate(ports):
        at, name = f"spec.ports[{index}]", one.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{at}.name")
        elif name:
            yield from named(f"{at}.name", name, "label")
            if name in names:
                yield duplicate(f"{at}.name", name)
        names.add(name)
        yield from port(one.get("port", 0), f"{at}.port")
        if one.get("protocol") not in PROTOCOLS:
            yield unsupported(f"{at}.protocol", one.get("protocol"), PROTOCOLS)
        yield from port_or_name(one.get("targetPort"), f"{at}.targetPort")
        if one.get("appProtocol"):
            yield from qualified(f"{at}.appProtocol", one["appProtocol"])
    for index, one in enumerate(ports):
        number = one.get("nodePort")
        if number and kind == "ClusterIP":
            yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
        elif number and number not in NODE_PORTS:
            text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            yield wrong(f"spec.ports[{index}].nodePort", number, text)
    taken: set[tuple[Any, Any]] = set()
    for index, one in enumerate(ports):
        place = (one.get("protocol"), one.get("port"))
        if place in taken:
            shown = {
                "Name": "",
                "Protocol": place[0],
                "AppProtocol": None,
                "Port": place[1],
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield duplicate(f"spec.ports[{index}]", shown)
        taken.add(place)


def _affinity(spec: Json) -> Iterator[Cause]:
    config, at = spec.get("sessionAffinityConfig"), "spec.sessionAffinityConfig"
    if spec.get("sessionAffinity") == "None" and config is not None:
        yield forbidden(at, "must not be set when session affinity is None")
    elif config is not None:
        seconds = (config.get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            yield required(f"{at}.clientIP", "when session affinity type is ClientIP")
        elif not 0 < seconds <= 86400:
            yield wrong(f"{at}.clientIP.timeoutSeconds", seconds, "must be greater than 0 and less than 86400")


def _balancing(spec: Json, kind: str) -> Iterator[Cause]:
    if spec.get("loadBalancerSourceRanges"):
        if kind != "LoadBalancer":
            yield forbidden("spec.LoadBalancerSourceRanges", BALANCED)
        for index, value in enumerate(spec["loadBalancerSourceRanges"]):
            yield from network(f"spec.LoadBalancerSourceRanges[{index}]", value)
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        yield forbidden("spec.allocateLoadBalancerNodePorts", BALANCED)
    if spec.get("loadBalancerClass") is not None and kind != "LoadBalancer":
        yield forbidden("spec.loadBalancerClass", BALANCED)


def _traffic(spec: Json, kind: str) -> Iterator[Cause]:
    inside = spec.get("internalTrafficPolicy")
    if inside is not None and inside not in POLICIES:
        yield unsupported("spec.internalTrafficPolicy", inside, POLICIES)
    outside = kind in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))
    policy, health = spec.get("externalTrafficPolicy"), spec.get("healthCheckNodePort", 0)
    if policy and not outside:
        yield wrong("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    elif policy:
        yield from one_of("spec.externalTrafficPolicy", policy, POLICIES)
    if health and not (kind == "LoadBalancer" and policy == "Local"):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield wrong("spec.healthCheckNodePort", health, text)
    allowed = ("PreferClose", "PreferSameZone", "PreferSameNode")
    yield from one_of("spec.trafficDistribution", spec.get("trafficDistribution"), allowed, ordered=False)


def _addresses(spec: Json, *, headless: bool) -> Iterator[Cause]:
    value = spec.get("clusterIP", "")
    if value and not headless:
        yield from address("spec.clusterIPs[0]", value)
    given = spec.get("clusterIPs") or []
    if given and not value:
        yield wrong("spec.clusterIPs", given, "must be empty when `clusterIP` is not specified")
    if value and given and given[0] != value:
        yield wrong("spec.clusterIPs", given, "first value must match `clusterIP`")
    if len(given) == 2 and ":" not in "".join(given):
        yield wrong("spec.clusterIPs", given, "may specify no more than one IP for each IP family")


def _changes(spec: Json, old: Json) -> Iterator[Cause]:
    before, after = old.get("clusterIP", ""), spec.get("clusterIP", "")
    outside = "ExternalName" in (old.get("type"), spec["type"])
    if before and not outside and after != before:
        yield wrong("spec.clusterIPs[0]", [after], "may not change once set")
