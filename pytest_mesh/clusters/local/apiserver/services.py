"""ClusterIPs and IP families of Services. Reads the store's Services, writes nothing but the object given."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.contracts import Json

NETWORK = ipaddress.IPv4Network("10.96.0.0/16")
FIRST = 256
"""Addresses below this offset are for those who ask for one (the API, DNS)."""


OUTSIDE = ("NodePort", "LoadBalancer")
"""Types whose ports have node ports. Nothing listens on them here: a Service of this type is reached by its ClusterIP."""

NODE_PORTS = range(30000, 32768)


def allocate(store: Store, service: Json, old: Json | None) -> None:
    """Give a Service its ClusterIP and what goes with it, in place; raises StatusError 422.

    An update keeps the address it had; one that turns an ExternalName into a ClusterIP gets a new one.
    """
    spec = service["spec"]
    before = (old or {}).get("spec", {})
    _allot_ports(store, service, before)
    if spec["type"] not in OUTSIDE:
        if spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy"):
            spec.pop("externalTrafficPolicy", None)
        if before.get("type") == "LoadBalancer":
            spec.pop("allocateLoadBalancerNodePorts", None)
    if spec["type"] == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            spec.pop(name, None)
        return
    if not spec.get("clusterIP") and spec.get("clusterIPs"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    if not spec.get("clusterIP") and before.get("clusterIP"):
        spec["clusterIP"] = before["clusterIP"]
    if not spec.get("clusterIP"):
        spec["clusterIP"] = _free(store)
    elif spec["clusterIP"] != "None" and spec["clusterIP"] != before.get("clusterIP") and old is None:
        _claim(store, service)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", before.get("ipFamilies", ["IPv4"]))
    spec.setdefault("ipFamilyPolicy", before.get("ipFamilyPolicy", "SingleStack"))
    if spec["ipFamilyPolicy"] == "RequireDualStack":
        cause = errors.Cause(
            field="spec.ipFamilyPolicy",
            message='Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        )
        raise errors.invalid("Service", "", service["metadata"]["name"], [cause])
    if "IPv6" in spec["ipFamilies"]:
        cause = errors.Cause(
            field="spec.ipFamilies[0]",
            message='Invalid value: "IPv6": not configured on this cluster',
        )
        raise errors.invalid("Service", "", service["metadata"]["name"], [cause])


def _allot_ports(store: Store, service: Json, before: Json) -> None:
    """Give each port its node port where the type has them, the one it had if it had one; take them away elsewhere."""
    spec = service["spec"]
    had = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in before.get("ports") or ()}
    if spec["type"] not in OUTSIDE or spec.get("allocateLoadBalancerNodePorts") is False:
        for port in spec.get("ports") or ():
            if port.get("nodePort") == had.get((port.get("protocol"), port.get("port"))):
                port.pop("nodePort", None)
        return
    taken = {port.get("nodePort") for one in store.list("services") for port in one["spec"].get("ports") or ()}
    for port in spec.get("ports") or ():
        kept = had.get((port.get("protocol"), port.get("port")))
        if port.get("nodePort") is None:
            port["nodePort"] = kept or next(number for number in NODE_PORTS if number not in taken)
        elif port["nodePort"] in taken and port["nodePort"] not in had.values():
            cause = errors.Cause(
                field=f"spec.ports[{spec['ports'].index(port)}].nodePort",
                message=f"Invalid value: {port['nodePort']}: provided port is already allocated",
            )
            raise errors.invalid("Service", "", service["metadata"]["name"], [cause])
        taken.add(port["nodePort"])


def _taken(store: Store) -> set[str]:
    return {service["spec"].get("clusterIP", "") for service in store.list("services")}


def _free(store: Store) -> str:
    taken = _taken(store)
    offset = FIRST + store.count("services")
    for step in range(NETWORK.num_addresses - FIRST - 1):
        place = FIRST + (offset - FIRST + step) % (NETWORK.num_addresses - FIRST - 1)
        address = str(NETWORK[place])
        if address not in taken:
            return address
    raise errors.StatusError(500, "InternalError", f"failed to allocate a serviceIP: {NETWORK} is full")


def _claim(store: Store, service: Json) -> None:
    address = service["spec"]["clusterIP"]
    why = ""
    try:
        if ipaddress.ip_address(address) not in NETWORK:
            why = f"failed to allocate IP {address}: the provided network does not match the current range"
        elif address in _taken(store):
            why = f"failed to allocate IP {address}: provided IP is already allocated"
    except ValueError:
        # No address at all: ``rules`` has its own words for that.
        return
    if why:
        cause = errors.Cause(field="spec.clusterIPs", message=f'Invalid value: ["{address}"]: {why}')
        raise errors.invalid("Service", "", service["metadata"]["name"], [cause])
