"""Whether two meshes give the same answers in the same shares: one sequential test on two samples. Pure.

DIFFERENT when the e-process reaches 1/alpha: the Dirichlet mixtures of both samples on their own, over the best likelihood
that one distribution for both can have. However often one looks, two equal meshes are called different with probability
alpha at most, provided that no more than one kind of answer was not seen. SAME when, for each kind of answer and each side, "the shares are delta
apart" is rejected by a likelihood ratio at level beta. Neither before the cap: undecided.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal

ALPHA = 1e-6
"""The probability that two equal meshes are called different, at most, for each request that is drawn."""
BETA = 1e-3
DELTA = 0.3
"""The difference of a share that is found in each request. A smaller one is found by what checks splits."""
CAP = 1600
"""Answers of each mesh at most."""

Decision = Literal["same", "different", "undecided"]
Counts = Mapping[Hashable, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two samples say."""

    decision: Decision
    log_e_value: float
    drawn: tuple[int, int]


def compare(
    one: Counts, other: Counts, *, delta: float = DELTA, alpha: float = ALPHA, beta: float = BETA
) -> Comparison:
    """Compare the counts of each kind of answer."""
    drawn = (sum(one.values()), sum(other.values()))
    log_e = log_e_value(one, other)
    decision: Decision = "undecided"
    if log_e >= -math.log(alpha):
        decision = "different"
    elif min(drawn) and all(_close(one, other, kind, delta, beta) for kind in one.keys() | other.keys()):
        decision = "same"
    return Comparison(decision=decision, log_e_value=log_e, drawn=drawn)


def log_e_value(one: Counts, other: Counts) -> float:
    """Give the logarithm of the evidence that the samples come from two distributions.

    Its mean is 1 at most where one distribution gives both, of no more kinds than were seen and one.
    """
    kinds = one.keys() | other.keys()
    if not sum(one.values()) or not sum(other.values()):
        return 0.0
    together = {kind: one.get(kind, 0) + other.get(kind, 0) for kind in kinds}
    total = sum(together.values())
    best = math.fsum(count * math.log(count / total) for count in together.values() if count)
    return _mixture(one, len(kinds) + 1) + _mixture(other, len(kinds) + 1) - best


def _mixture(counts: Counts, kinds: int) -> float:
    """Give the log-probability of a sample under the Dirichlet(1/2) mixture of distributions over so many kinds."""
    total = sum(counts.values())
    value = math.lgamma(kinds / 2) - math.lgamma(kinds / 2 + total)
    return value + math.fsum(math.lgamma(count + 0.5) - math.lgamma(0.5) for count in counts.values())


def _close(one: Counts, other: Counts, kind: Hashable, delta: float, beta: float) -> bool:
    """Whether the shares of a kind cannot be ``delta`` apart, either way."""
    hits = (one.get(kind, 0), other.get(kind, 0))
    sizes = (sum(one.values()), sum(other.values()))
    free = sum(_log_likelihood(hit, size, hit / size) for hit, size in zip(hits, sizes, strict=True))
    return all(_constrained(hits, sizes, shift) - free <= math.log(beta) for shift in (delta, -delta))


def _constrained(hits: tuple[int, int], sizes: tuple[int, int], shift: float) -> float:
    """Give the best likelihood with the second share ``shift`` or more above the first (below, if negative).

    It is concave, so a search finds it at the border; samples that are farther apart themselves are their own best.
    """
    apart = hits[1] / sizes[1] - hits[0] / sizes[0]
    if apart >= shift > 0 or apart <= shift < 0:
        return sum(_log_likelihood(hit, size, hit / size) for hit, size in zip(hits, sizes, strict=True))
    low, high = max(0.0, -shift), min(1.0, 1.0 - shift)

    def value(share: float) -> float:
        return _log_likelihood(hits[0], sizes[0], share) + _log_likelihood(hits[1], sizes[1], share + shift)

    for _ in range(60):
        third = (high - low) / 3
        if value(low + third) < value(high - third):
            low += third
        else:
            high -= third
    return value((low + high) / 2)


def _log_likelihood(hits: int, size: int, share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    value = 0.0
    if hits:
        value += hits * math.log(share) if share > 0 else -1e300
    if size - hits:
        value += (size - hits) * math.log1p(-share) if share < 1 else -1e300
    return value
