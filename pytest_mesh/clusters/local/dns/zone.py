"""The cluster's zone: what Services and EndpointSlices make of DNS names (specification 1.1.0).

Pure: a table kept Service by Service, and lookups in it. Names are lower case,
relative to the cluster domain and without a final dot. IPv4 only.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_mesh.contracts import Json

Key = tuple[str, str]
"""(namespace, Service name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One SRV answer: ``name`` is relative to the cluster domain."""

    port: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What one Service contributes, by relative name."""

    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    services: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """CNAME targets: absolute, without a final dot."""
    pointers: Mapping[str, str] = field(default_factory=dict)
    """Relative name by IP address."""


def records_of(service: Json, slices: Iterable[Json]) -> Records:
    """Give the records of one Service and its EndpointSlices."""
    metadata = service["metadata"]
    spec = service["spec"]
    name = f"{metadata['name']}.{metadata['namespace']}.svc"
    if spec.get("type") == "ExternalName":
        return Records(aliases={name: spec["externalName"].rstrip(".").lower()})
    if spec.get("clusterIP") == "None":
        return _headless(name, slices, publish=bool(spec.get("publishNotReadyAddresses")))
    address = spec.get("clusterIP")
    if not address:
        return Records()
    services: dict[str, tuple[Target, ...]] = {}
    for port in spec.get("ports") or ():
        target = (Target(port=port["port"], name=name),)
        for label in _labels(port):
            services[f"{label}.{name}"] = target
    return Records(addresses={name: (address,)}, services=services, pointers={address: name})


def dashed(address: str) -> str:
    """Give the name of an endpoint without a hostname: ``10-244-0-7``."""
    return address.replace(".", "-")


def _labels(port: Json) -> tuple[str, ...]:
    if not port.get("name"):
        return ()
    return (f"_{port['name']}._{port.get('protocol', 'TCP').lower()}",)


def _headless(name: str, slices: Iterable[Json], *, publish: bool) -> Records:
    addresses: defaultdict[str, dict[str, None]] = defaultdict(dict)
    services: defaultdict[str, dict[Target, None]] = defaultdict(dict)
    pointers: dict[str, str] = {}
    for item in slices:
        for endpoint in item.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready")
            if ready is False and not publish:
                continue
            for address in endpoint["addresses"]:
                own = f"{endpoint.get('hostname') or dashed(address)}.{name}".lower()
                addresses[name][address] = None
                addresses[own][address] = None
                pointers[address] = own
                for port in item.get("ports") or ():
                    for label in _labels(port):
                        services[f"{label}.{name}"][Target(port=port["port"], name=own)] = None
    addresses.setdefault(name, {})
    return Records(
        addresses={key: tuple(values) for key, values in addresses.items()},
        services={key: tuple(values) for key, values in services.items()},
        pointers=pointers,
    )


class Zone:
    """All records of the cluster; changed one Service at a time."""

    def __init__(self) -> None:
        self._by_service: dict[Key, Records] = {}
        self._namespaces: set[str] = set()
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._services: dict[str, tuple[Target, ...]] = {}
        self._aliases: dict[str, str] = {}
        self._pointers: dict[str, str] = {}
        self._parents: defaultdict[str, int] = defaultdict(int)

    def put(self, key: Key, records: Records) -> None:
        """Take a Service's records in place of what it had."""
        self.remove(key)
        self._by_service[key] = records
        self._addresses |= records.addresses
        self._services |= records.services
        self._aliases |= records.aliases
        self._pointers |= records.pointers
        for name in _names(records):
            for parent in _parents(name):
                self._parents[parent] += 1

    def remove(self, key: Key) -> None:
        """Forget a Service."""
        records = self._by_service.pop(key, None)
        if records is None:
            return
        for name in records.addresses:
            self._addresses.pop(name, None)
        for name in records.services:
            self._services.pop(name, None)
        for name in records.aliases:
            self._aliases.pop(name, None)
        for address, name in records.pointers.items():
            if self._pointers.get(address) == name:
                del self._pointers[address]
        for name in _names(records):
            for parent in _parents(name):
                self._parents[parent] -= 1
                if not self._parents[parent]:
                    del self._parents[parent]

    def add_namespace(self, name: str) -> None:
        """Let Pod names of this namespace resolve."""
        self._namespaces.add(name)

    def remove_namespace(self, name: str) -> None:
        """Let Pod names of this namespace vanish."""
        self._namespaces.discard(name)

    def addresses(self, name: str) -> tuple[str, ...]:
        """Give the A records of a name; empty when it has none."""
        found = self._addresses.get(name)
        if found is not None:
            return found
        return self._pod_address(name)

    def targets(self, name: str) -> tuple[Target, ...]:
        """Give the SRV records of a name; a headless or plain Service's own name asks for all of its ports."""
        return self._services.get(name, ())

    def alias(self, name: str) -> str:
        """Give the CNAME target of a name, or an empty string."""
        return self._aliases.get(name, "")

    def pointer(self, address: str) -> str:
        """Give the relative name that an address points back to, or an empty string."""
        return self._pointers.get(address, "")

    def exists(self, name: str) -> bool:
        """Tell whether the name, or a name below it, has any record (else it is NXDOMAIN)."""
        return (
            name in {"", "svc", "pod", "dns-version"}
            or name in self._addresses
            or name in self._services
            or name in self._aliases
            or name in self._parents
            or bool(self._pod_address(name))
            or (name.endswith(".pod") and name.removesuffix(".pod") in self._namespaces)
        )

    def _pod_address(self, name: str) -> tuple[str, ...]:
        parts = name.split(".")
        if len(parts) != 3 or parts[2] != "pod" or parts[1] not in self._namespaces:
            return ()
        try:
            return (str(ipaddress.IPv4Address(parts[0].replace("-", "."))),)
        except ipaddress.AddressValueError:
            return ()


def _names(records: Records) -> Iterable[str]:
    return (*records.addresses, *records.services, *records.aliases)


def _parents(name: str) -> Iterable[str]:
    labels = name.split(".")
    return (".".join(labels[start:]) for start in range(1, len(labels)))
