"""Whether the oracle was held against a real Istio: what reports say of it. Plain data."""

from __future__ import annotations

CONFIRMED_BY = "istio master-eed52eb"
"""The Istio whose istiod and Envoy answered every generated request as the oracle allows; empty = unconfirmed."""

CELLS = 1900
"""Generated cells of that run (some 14,000 different requests, each sent twice), without a disagreement."""


BINDINGS = 260
"""Groups of rival VirtualServices on one host (1,820 requests), the same."""


def standing() -> str:
    """Give the word for a report: ``confirmed by ...`` or ``unconfirmed``."""
    return (
        f"confirmed by {CONFIRMED_BY} ({CELLS} cells, {BINDINGS} groups of rivals)" if CONFIRMED_BY else "unconfirmed"
    )
