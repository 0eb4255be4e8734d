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


def allocate(store: Store, service: Json, old: Json | None) -> None:
    """Give a Service its ClusterIP and what goes with it, in place; raises StatusError 422.

    An update keeps the address it had; one that turns an ExternalName into a ClusterIP gets a new one.
    """
    spec = service["spec"]
    before = (old or {}).get("spec", {})
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
    if "IPv6" in spec["ipFamilies"] or spec["ipFamilyPolicy"] == "RequireDualStack":
        cause = errors.Cause(
            field="spec.ipFamilies[0]",
            message='Invalid value: "IPv6": not configured on this cluster',
        )
        raise errors.invalid("Service", "", service["metadata"]["name"], [cause])


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
            why = f"failed to allocate IP {address}: the provided IP is not in the valid range. The range of valid IPs is {NETWORK}"
        elif address in _taken(store):
            why = f"failed to allocate IP {address}: provided IP is already allocated"
    except ValueError:
        # No address at all: ``rules`` has its own words for that.
        return
    if why:
        cause = errors.Cause(field="spec.clusterIPs", message=f'Invalid value: ["{address}"]: {why}')
        raise errors.invalid("Service", "", service["metadata"]["name"], [cause])
