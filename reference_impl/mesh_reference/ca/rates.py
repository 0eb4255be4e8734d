"""How often one caller may ask: a bucket of tokens each. Pure but for the clock that is handed in.

The memory is bounded: a bucket that is full again says nothing and is dropped.
"""

from __future__ import annotations

from collections.abc import Callable

LARGEST = 20_000
"""Buckets kept before the full ones are swept away: more than the pods of a large mesh."""


class Rates:
    """Buckets by caller."""

    def __init__(self, clock: Callable[[], float], *, per_second: float = 5.0, burst: float = 50.0) -> None:
        """A caller may ask ``burst`` times at once and ``per_second`` times for good."""
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str) -> bool:
        """Take one token of the caller's bucket; False when it is empty."""
        now = self._clock()
        left, at = self._buckets.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        if left < 1:
            return False
        if caller not in self._buckets and len(self._buckets) >= LARGEST:
            self._sweep(now)
        self._buckets[caller] = (left - 1, now)
        return True

    def _sweep(self, now: float) -> None:
        self._buckets = {
            caller: (left, at)
            for caller, (left, at) in self._buckets.items()
            if left + (now - at) * self._per_second < self._burst
        }
        while len(self._buckets) >= LARGEST:
            # Whoever asked longest ago has the fullest bucket or close to it.
            del self._buckets[next(iter(self._buckets))]
