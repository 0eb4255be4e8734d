"""What an agent that answers names is told: every name that its proxy's scope knows, with its addresses. Pure.

A name without an address is left out, so that the agent asks the cluster's DNS for it.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mesh_reference.name_table import EXTERNAL, KUBERNETES, NameTable
from mesh_reference.xds.resources import Encoded, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.services import Service


def build(services: Iterable[Service], endpoints: Mapping[str, tuple[Endpoint, ...]]) -> Any:
    """The table of these Services; of a headless one its ready endpoints, and each named Pod by itself."""
    out = NameTable()
    for service in services:
        registry = EXTERNAL if service.by_entry else KUBERNETES
        addresses = [item for item in service.addresses if is_single(item)]
        if service.headless and not addresses:
            ready = [item for item in endpoints.get(service.hostname, ()) if item.ready and is_single(item.address)]
            addresses = [item.address for item in ready]
            for name, found in _pods(service, ready).items():
                short, _, _domain = name.partition(f".{service.meta.namespace}.")
                _enter(out, name, found, registry, service.meta.namespace, short)
        if addresses:
            short = "" if service.by_entry else service.meta.name
            _enter(
                out, service.hostname, addresses, registry, "" if service.by_entry else service.meta.namespace, short
            )
    return out


def encoded(services: Iterable[Service], endpoints: Mapping[str, tuple[Endpoint, ...]]) -> Encoded:
    """The table as the one resource of its type."""
    return encode("", build(services, endpoints))


def is_single(address: str) -> bool:
    """Is it one IP address? A ServiceEntry may list subnets, an endpoint may be a socket's path or a name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _pods(service: Service, ready: Iterable[Endpoint]) -> dict[str, list[str]]:
    """``<hostname>.<subdomain>.<namespace>.svc.<domain>``, as Kubernetes' DNS names a headless Service's Pods."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in ready:
        if item.hostname:
            found[f"{item.hostname}.{service.hostname}"].append(item.address)
    return found


def _enter(out: Any, name: str, addresses: Iterable[str], registry: str, namespace: str, short: str) -> None:
    info = out.table[name]
    info.ips.extend(dict.fromkeys(addresses))
    info.registry, info.namespace, info.shortname = registry, namespace, short
