"""Addresses for the hosts of ServiceEntries that name none: 240.240.0.0/16, which no network routes. No I/O.

A host's address follows from its name, so that every control plane finds the same one; of two names that fall together
the one that came later gives way. That does no harm: a proxy has names and listeners from one control plane.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh_reference.model.services import Service

NETWORK = ipaddress.ip_network("240.240.0.0/16")
_SIZE = NETWORK.num_addresses - 2
"""Without the network's own address and its last."""


class AddressPool:
    """Which host has which address."""

    def __init__(self, size: int = _SIZE) -> None:
        self._size = size
        self._of: dict[str, str] = {}
        self._taken: set[int] = set()

    def settle(self, host: str, service: Service | None) -> Service | None:
        """The Service that has the host now, with the address that is found for it if it may have one."""
        if service is not None and service.is_numbered:
            return replace(service, allocated=self.take(host))
        self.give_back(host)
        return service

    def take(self, host: str) -> str:
        """The host's address, the same one until it is given back; empty when there is none left."""
        known = self._of.get(host)
        if known is not None:
            return known
        if len(self._taken) == self._size:
            return ""
        place = int.from_bytes(hashlib.blake2b(host.encode(), digest_size=4).digest(), "big") % self._size
        while place in self._taken:
            place = (place + 1) % self._size
        self._taken.add(place)
        self._of[host] = str(NETWORK[place + 1])
        return self._of[host]

    def give_back(self, host: str) -> None:
        """Nobody names the host any more."""
        known = self._of.pop(host, None)
        if known is not None:
            self._taken.remove(int(ipaddress.ip_address(known)) - int(NETWORK.network_address) - 1)
