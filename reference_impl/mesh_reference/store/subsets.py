"""Which subsets any DestinationRule defines, and which VirtualServices route to one that none does. No I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mesh_reference.model import hosts

if TYPE_CHECKING:
    from mesh_reference.model.destination_rules import DestinationRule
    from mesh_reference.model.http_routes import HttpRoute
    from mesh_reference.model.l4_routes import L4Route
    from mesh_reference.model.virtual_services import VirtualService


class KnownSubsets:
    """Counted by (host, subset): two rules may define the same."""

    def __init__(self) -> None:
        self._found: Counter[tuple[str, str]] = Counter()

    def note(self, before: DestinationRule | None, after: DestinationRule | None) -> None:
        """A DestinationRule changed."""
        if before is not None:
            self._found.subtract((before.host, subset.name) for subset in before.subsets)
            self._found += Counter()  # forgets what nobody defines any more
        if after is not None:
            self._found.update((after.host, subset.name) for subset in after.subsets)

    def lacks(self, service: VirtualService) -> bool:
        """Does it route to a subset that no DestinationRule has?"""
        routes: tuple[HttpRoute | L4Route, ...] = (*service.http, *service.tls, *service.tcp)
        targets = (branch.destination for route in routes for branch in route.destinations)
        return any(target.subset and not self._has(target.host, target.subset) for target in targets)

    def _has(self, host: str, subset: str) -> bool:
        return (host, subset) in self._found or any(
            name == subset and pattern.startswith("*") and hosts.matches(pattern, host) for pattern, name in self._found
        )
