"""The pods by their addresses. It says which of them a change concerns, and nothing of what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh_reference.model.endpoints import Pod
    from mesh_reference.model.snapshot import Key


class KnownPods:
    """Host-network pods share their node's address: the first has it, and another one once that is gone."""

    def __init__(self) -> None:
        self.by_address: dict[str, Pod] = {}
        self._by_key: dict[Key, Pod] = {}

    def take(self, key: Key, after: Pod | None) -> tuple[set[str], list[Pod]]:
        """Note a pod as it is, None when it is gone. Gives the addresses it touches, and the pods that come, go or move."""
        touched: set[str] = set()
        before = self._by_key.pop(key, None)
        if before is not None:
            owner = self.by_address.get(before.address)
            if owner is not None and (owner.namespace, owner.name) == key:
                del self.by_address[before.address]
                touched.add(before.address)
        if after is not None:
            self._by_key[key] = after
            if after.address not in self.by_address or not after.host_network:
                self.by_address[after.address] = after
                touched.add(after.address)
        if before == after:
            return set(), []
        return touched, [pod for pod in (before, after, self._heir(before)) if pod is not None]

    def _heir(self, gone: Pod | None) -> Pod | None:
        """Give the address that a host-network pod has left to another one that has it."""
        if gone is None or not gone.host_network or gone.address in self.by_address:
            return None
        heir = next((pod for pod in self._by_key.values() if pod.address == gone.address), None)
        if heir is not None:
            self.by_address[gone.address] = heir
        return heir
