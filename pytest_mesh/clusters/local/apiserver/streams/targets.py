"""Which Pod, container, address and port a streaming request means. Pure over the store.

Words of refusals are kube-apiserver's.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_mesh.clusters.local.apiserver import endpoints, errors
from pytest_mesh.clusters.local.apiserver.errors import StatusError

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.contracts import Json

_TARGET = re.compile(r"(?:(?P<scheme>https?|):)?(?P<name>[^:]+)(?::(?P<port>[^:]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a proxied request goes."""

    scheme: Literal["http", "https"]
    host: str
    port: int


def pod(store: Store, namespace: str, name: str) -> Json:
    """Give a Pod; raises StatusError 404."""
    found = store.get("pods", namespace, name)
    if found is None:
        raise errors.not_found("pods", "", name)
    return found


def container(pod: Json, wanted: str) -> str:
    """Give the container's name, which may be left out of a Pod with one; raises StatusError 400."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    every = [
        one["name"] for kind in ("initContainers", "containers", "ephemeralContainers") for one in spec.get(kind) or ()
    ]
    if wanted:
        if wanted not in every:
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    regular = spec.get("containers") or []
    if len(regular) == 1:
        only: str = regular[0]["name"]
        return only
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(every)}]")


def assigned(pod: Json) -> None:
    """Raise StatusError 400 for a Pod that no node has taken yet."""
    if not pod["spec"].get("nodeName"):
        raise errors.bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")


def split(target: str) -> tuple[Literal["http", "https"], str, str] | None:
    """Split ``[scheme:]name[:port]``; None if it is not of this form."""
    match = _TARGET.fullmatch(target)
    if match is None:
        return None
    return "https" if match["scheme"] == "https" else "http", match["name"], match["port"] or ""


def pod_location(store: Store, namespace: str, target: str) -> Location:
    """Find a Pod's port; without one it is the first that a container declares, else 80 (443 for https)."""
    parts = split(target)
    if parts is None:
        raise errors.bad_request(f'invalid pod request "{target}"')
    scheme, name, port = parts
    found = pod(store, namespace, name)
    if not port:
        declared = (one for c in found["spec"].get("containers") or () for one in c.get("ports") or ())
        port = next((str(one["containerPort"]) for one in declared), "443" if scheme == "https" else "80")
    address = (found.get("status") or {}).get("podIP") or ""
    if not _is_unicast(address):
        raise errors.bad_request("address not allowed")
    return Location(scheme=scheme, host=address, port=_number(port, target))


def service_location(store: Store, namespace: str, target: str) -> Location:
    """Find one ready Pod behind a Service's port, given by number or name."""
    parts = split(target)
    if parts is None:
        raise errors.bad_request(f'invalid service request "{target}"')
    scheme, name, port = parts
    service = store.get("services", namespace, name)
    if service is None:
        raise errors.not_found("services", "", name)
    if port.isdecimal():
        declared = service["spec"].get("ports") or ()
        found = next((one for one in declared if one["port"] == int(port)), None)
        if found is None:
            raise unavailable(f'no service port {port} found for service "{name}"')
        port = found.get("name") or ""
    # Only to Pods: a Service may not lead the API server to arbitrary addresses.
    ready = [one for one in endpoints.ready(store, namespace, name, port) if one.pod]
    if not ready:
        raise unavailable(f'no endpoints available for service "{target}"')
    chosen = secrets.choice(ready)
    return Location(scheme=scheme, host=chosen.address, port=chosen.port)


def unavailable(message: str) -> StatusError:
    """Give the 503 of a proxy that reaches nobody."""
    return StatusError(503, "ServiceUnavailable", message)


def _number(port: str, target: str) -> int:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise errors.bad_request(f'invalid port "{port}" in "{target}"')
    return int(port)


def _is_unicast(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local)
