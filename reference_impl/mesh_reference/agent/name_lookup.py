"""What the agent answers to a question for a name: Pilot's name table, with the short forms of Kubernetes names. Pure.

It deliberately knows no DNS messages, and says None of a name that the mesh does not know: the pod's own DNS servers
are asked for that one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mesh_reference.name_table import KUBERNETES


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the pod is, as far as names go."""

    namespace: str
    domain: str
    """Of Services: ``svc.cluster.local``."""
    search: tuple[str, ...] = ()
    """The pod's search domains; a resolver tries the first one before it tries the name itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The addresses of a known name, perhaps none. ``alias``: the name that the question stands for, if it is another."""

    addresses: tuple[str, ...]
    alias: str = ""


class Lookup:
    """One name table, ready to be asked."""

    def __init__(self, table: Any, place: Place) -> None:
        self._first = place.search[0].strip(".").lower() if place.search else ""
        self._addresses: dict[str, tuple[str, ...]] = {}
        short: dict[str, tuple[str, ...]] = {}
        for host, info in sorted(table.table.items()):
            name = host.rstrip(".").lower()
            addresses = tuple(ip for ip in info.ips if _is_address(ip))
            if not addresses:
                continue
            self._addresses[name] = addresses
            if info.registry == KUBERNETES and name.endswith(f".{place.domain}"):
                short.update(dict.fromkeys(_short_forms(info.shortname, info.namespace, place), addresses))
        # A whole name comes before another one's short form.
        self._addresses = {**short, **self._addresses}

    def find(self, name: str) -> Found | None:
        """The addresses of a name without its last dot, in lower case; None when nobody in the mesh has it."""
        hit = self._hit(name, name)
        if hit is not None:
            return hit
        rest = name
        while "." in rest:
            rest = rest.partition(".")[2]
            hit = self._hit(f"*.{rest}", name)
            if hit is not None:
                return hit
        return None

    def _hit(self, key: str, name: str) -> Found | None:
        if key in self._addresses:
            return Found(addresses=self._addresses[key])
        whole = self._without_search(key)
        if whole and whole in self._addresses:
            return Found(addresses=self._addresses[whole], alias=self._without_search(name))
        return None

    def _without_search(self, name: str) -> str:
        """The name before the first search domain was added to it: a resolver need not try the others then."""
        if not self._first or not name.endswith(f".{self._first}"):
            return ""
        whole = name.removesuffix(f".{self._first}")
        return "" if whole == self._first or whole.endswith(f".{self._first}") else whole


def addresses_of(found: Found, version: int) -> list[str]:
    """Those of the IP version."""
    return [item for item in found.addresses if ipaddress.ip_address(item).version == version]


def read_resolver(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``/etc/resolv.conf``: its name servers and its search domains; of several search lines the last counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for words in map(str.split, text.splitlines()):
        match words:
            case ["nameserver", address, *_]:
                servers.append(address)
            case ["search" | "domain", *domains]:
                search = tuple(domains)
    return tuple(servers), search


def _short_forms(name: str, namespace: str, place: Place) -> Iterable[str]:
    forms = [f"{name}.{namespace}", f"{name}.{namespace}.{place.domain.partition('.')[0]}"]
    return [form.lower() for form in ([*forms, name] if namespace == place.namespace else forms)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
