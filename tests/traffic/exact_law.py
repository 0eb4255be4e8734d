"""The sequential test on two shares computed exactly: the probability of every count is carried from look to look. Pure.

Requests are independent picks, so the count of one version is a walk whose law is known; no sample is
drawn here. What is cut off because it is too little to matter is added up in ``lost``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_mesh.traffic.splits import next_draw
from pytest_mesh.traffic.statistics import Decision, SplitClaim, judge

_NOTHING = 1e-30
"""Probability of a count below which it is no longer carried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """How the test ends, and after how many requests."""

    passed: float
    failed: float
    inconclusive: float
    lost: float
    """Probability that was cut off, and what rounding took: no figure is off by more."""
    sizes: dict[int, float]
    """Probability of ending at each size."""

    @property
    def mean(self) -> float:
        """Requests in the mean."""
        return math.fsum(size * mass for size, mass in self.sizes.items())

    def quantile(self, share: float) -> int:
        """Give the size that ``share`` of all samples do not exceed."""
        seen = 0.0
        for size, mass in sorted(self.sizes.items()):
            seen += mass
            if seen >= share:
                return size
        return max(self.sizes)


def as_drawn(claim: SplitClaim) -> Iterator[int]:
    """Give the sizes of the draws of ``assert_split``: it looks after each of them."""
    drawn = 0
    while drawn < claim.cap:
        step = next_draw(claim, drawn, claim.cap)
        drawn += step
        yield step


def one_by_one(claim: SplitClaim) -> Iterator[int]:
    """Look after each request: as often as can be."""
    return iter([1] * claim.cap)


def law(claim: SplitClaim, sent: float, steps: Iterator[int]) -> Law:
    """Give how the test ends when the first of the claim's two names really gets the share ``sent``."""
    begin, masses, requests = 0, [1.0], 0
    ended: dict[Decision, list[float]] = {"pass": [], "fail": [], "inconclusive": []}
    sizes: dict[int, float] = {}
    borders = _Borders(claim)
    picks: dict[int, tuple[int, list[float]]] = {}
    for step in steps:
        if step not in picks:
            picks[step] = binomial(step, sent)
        least, drawn = picks[step]
        begin, masses, requests = begin + least, _convolved(masses, drawn), requests + step
        here = []
        for decision, low, high in borders.parts(requests, begin, begin + len(masses)):
            if decision != "undecided":
                mass = math.fsum(masses[low - begin : high - begin])
                ended[decision].append(mass)
                here.append(mass)
                masses[low - begin : high - begin] = [0.0] * (high - low)
        sizes[requests] = math.fsum(here)
        kept = [index for index, mass in enumerate(masses) if mass > _NOTHING]
        if not kept:
            break
        begin, masses = begin + kept[0], masses[kept[0] : kept[-1] + 1]
    passed, failed, inconclusive = (math.fsum(ended[one]) for one in ("pass", "fail", "inconclusive"))
    lost = abs(1 - math.fsum((passed, failed, inconclusive)))
    return Law(passed=passed, failed=failed, inconclusive=inconclusive, lost=lost, sizes=sizes)


def binomial(number: int, share: float) -> tuple[int, list[float]]:
    """Give the probabilities of counts among ``number`` picks, and the least of these counts; what is next to nothing is cut."""
    whole = [
        math.exp(
            math.lgamma(number + 1)
            - math.lgamma(count + 1)
            - math.lgamma(number - count + 1)
            + count * math.log(share)
            + (number - count) * math.log1p(-share)
        )
        for count in range(number + 1)
    ]
    kept = [count for count, mass in enumerate(whole) if mass > _NOTHING]
    scale = math.fsum(whole)  # what lgamma rounds off is the same factor for all
    return kept[0], [mass / scale for mass in whole[kept[0] : kept[-1] + 1]]


def _convolved(masses: list[float], drawn: list[float]) -> list[float]:
    result = [0.0] * (len(masses) + len(drawn) - 1)
    for offset, share in enumerate(drawn):
        for index, mass in enumerate(masses, offset):
            result[index] += mass * share
    return result


class _Borders:
    """Where along the first name's count the decision changes.

    The e-value is convex in the count, and each ratio that a pass asks for is monotone in it: the counts
    that fail lie outside of an interval, those that pass fill one inside it.
    """

    def __init__(self, claim: SplitClaim) -> None:
        self._claim = claim
        self._first, self._second = claim.shares
        self._requests = 0
        self._distances = {("fail", -1): 0, ("fail", 1): 0, ("pass", -1): 0, ("pass", 1): 0}

    def parts(self, requests: int, begin: int, end: int) -> list[tuple[Decision, int, int]]:
        """Give each decision with the counts that have it, as ranges within ``begin`` to ``end`` (exclusive)."""
        self._requests = requests
        centre = round(requests * self._claim.shares[self._first])
        low, high = self._farthest(centre, -1, "fail"), self._farthest(centre, 1, "fail") + 1
        if self._decision(centre) == "pass":
            inner, outer = self._farthest(centre, -1, "pass"), self._farthest(centre, 1, "pass") + 1
            rest = "inconclusive" if requests >= self._claim.cap else "undecided"
        else:
            inner = outer = centre
            rest = self._decision(centre)
        cuts = [begin, *(min(max(one, begin), end) for one in (low, inner, outer, high)), end]
        names: tuple[Decision, ...] = ("fail", rest, "pass", rest, "fail")
        return [(name, cuts[index], cuts[index + 1]) for index, name in enumerate(names)]

    def _farthest(self, centre: int, way: int, of: Decision) -> int:
        """Give the last count from the centre one way that passes (``of`` pass), or that does not fail (``of`` fail)."""
        edge = self._requests if way > 0 else 0
        inside = (lambda count: self._decision(count) == "pass") if of == "pass" else self._stays
        distance = min(self._distances[of, way], abs(edge - centre))
        while distance and not inside(centre + way * distance):
            distance -= 1
        while centre + way * distance != edge and inside(centre + way * (distance + 1)):
            distance += 1
        self._distances[of, way] = distance
        return centre + way * distance

    def _stays(self, count: int) -> bool:
        return self._decision(count) != "fail"

    def _decision(self, count: int) -> Decision:
        return judge(self._claim, {self._first: count, self._second: self._requests - count}).decision
