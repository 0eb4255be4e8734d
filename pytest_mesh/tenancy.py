"""What a client of a cluster that is not the run's own must keep to. A seam: who fills it stands in ``clusters.existing``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Tenancy(Protocol):
    """The rules of a guest."""

    def labels(self) -> Mapping[str, str]:
        """Give labels for a namespace that is made."""

    def annotations(self) -> Mapping[str, str]:
        """Give annotations for it."""

    def settle(self, namespace: str) -> None:
        """Make a namespace usable that was just made; raises ``Infrastructure``."""

    def leave(self, namespace: str, *, kept: bool) -> None:
        """Learn that the run is done with a namespace."""

    def check(self, method: str, path: str, body: Any, params: Mapping[str, str]) -> None:
        """Raise ``Infrastructure`` for a request that would change what is not the run's own."""
