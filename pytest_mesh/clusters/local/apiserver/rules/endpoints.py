"""The rules of Endpoints and EndpointSlices. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.rules.faults import (
    IMMUTABLE,
    address,
    duplicate,
    named,
    one_of,
    port,
    public,
    qualified,
    required,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.contracts import Json

PROTOCOLS = ("SCTP", "TCP", "UDP")
MOST_ENDPOINTS, MOST_ADDRESSES = 1000, 100


def endpoint_slice(endpoint_slice: Json, old: Json | None) -> Iterator[Cause]:
    """Check an EndpointSlice."""
    kind = endpoint_slice.get("addressType", "")
    kinds = ("FQDN", "IPv4", "IPv6")
    if old is not None and kind != old.get("addressType"):
        yield wrong("addressType", kind, IMMUTABLE)
    if kind not in kinds:
        yield required("addressType") if not kind else unsupported("addressType", kind, kinds)
    endpoints = endpoint_slice.get("endpoints") or []
    if len(endpoints) > MOST_ENDPOINTS:
        text = f"Too many: {len(endpoints)}: must have at most {MOST_ENDPOINTS} items"
        yield Cause(field="endpoints", message=text, reason="FieldValueTooMany")
        return
    for index, endpoint in enumerate(endpoints):
        yield from _endpoint(endpoint, f"endpoints[{index}]", kind)
    seen: set[str] = set()
    for index, one in enumerate(endpoint_slice.get("ports") or ()):
        name = one.get("name") or ""
        if name:
            yield from named(f"ports[{index}].name", name, "label")
        if name in seen:
            yield duplicate(f"ports[{index}].name", name)
        seen.add(name)
        yield from one_of(f"ports[{index}].protocol", one.get("protocol"), PROTOCOLS)
        if one.get("appProtocol"):
            yield from qualified(f"ports[{index}].appProtocol", one["appProtocol"])


def _endpoint(endpoint: Json, path: str, kind: str) -> Iterator[Cause]:
    at, addresses = f"{path}.addresses", endpoint.get("addresses") or []
    if not addresses:
        yield required(at, "must contain at least 1 address")
    elif len(addresses) > MOST_ADDRESSES:
        text = f"Too many: {len(addresses)}: must have at most {MOST_ADDRESSES} items"
        yield Cause(field=at, message=text, reason="FieldValueTooMany")
    version = {"IPv4": 4, "IPv6": 6}.get(kind)
    for number, value in enumerate(addresses):
        if version is not None:
            found = [*address(f"{at}[{number}]", value)]
            yield from found or address(at, value, version, f"must be an {kind} address")
            yield from public(f"{at}[{number}]", value)
        elif kind == "FQDN":
            yield from named(f"{at}[{number}]", value, "subdomain")
    if endpoint.get("hostname"):
        yield from named(f"{path}.hostname", endpoint["hostname"], "label")


def endpoints(obj: Json, _old: Json | None) -> Iterator[Cause]:
    """Check Endpoints."""
    for index, subset in enumerate(obj.get("subsets") or ()):
        at = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(at, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for number, one in enumerate(subset.get(field) or ()):
                place, value = f"{at}.{field}[{number}].ip", one.get("ip", "")
                found = [*address(place, value)]
                yield from found
                if found:
                    yield wrong(place, value, "must be a valid IP address")
                yield from public(place, value)
        ports = subset.get("ports") or ()
        for number, one in enumerate(ports):
            place = f"{at}.ports[{number}]"
            if not one.get("name") and len(ports) > 1:
                yield required(f"{place}.name")
            elif one.get("name"):
                yield from named(f"{place}.name", one["name"], "label")
            yield from port(one.get("port", 0), f"{place}.port")
            yield from one_of(f"{place}.protocol", one.get("protocol"), PROTOCOLS)
