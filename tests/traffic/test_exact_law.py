"""The exact computation of the sequential test agrees with trying every sequence, and the test keeps its promises by it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import exact_law

from pytest_mesh.traffic.statistics import SplitClaim, judge


def every_sequence(claim, sent, longest):
    """Give the probability of each end within so many requests, of all sequences of answers."""
    first, second = claim.shares
    ends = Counter()
    open_ends = [(0, 0, 1.0)]
    while open_ends:
        hits, misses, mass = open_ends.pop()
        for more, share in (((1, 0), sent), ((0, 1), 1 - sent)):
            now = (hits + more[0], misses + more[1])
            decision = judge(claim, {first: now[0], second: now[1]}).decision
            if decision != "undecided":
                ends[decision, sum(now)] += mass * share
            elif sum(now) < longest:
                open_ends.append((*now, mass * share))
    return ends


@pytest.mark.parametrize("sent", [0.5, 0.9])
def test_the_law_is_that_of_all_sequences(sent):
    claim = SplitClaim.of({"a": 1, "b": 1}, delta=0.45, alpha=0.05, beta=0.1)

    found = exact_law.law(claim, sent, iter([1] * 11))

    wanted = every_sequence(claim, sent, 11)
    assert {decision for decision, _ in wanted} == {"pass", "fail"}
    assert found.passed == pytest.approx(sum(mass for (word, _), mass in wanted.items() if word == "pass"))
    assert found.failed == pytest.approx(sum(mass for (word, _), mass in wanted.items() if word == "fail"))
    for size, mass in found.sizes.items():
        assert mass == pytest.approx(wanted["pass", size] + wanted["fail", size])


def test_80_to_20_within_five_points_keeps_both_promises_exactly():
    claim = SplitClaim.of({"v1": 80, "v2": 20}, delta=0.05)
    right, low, high = (exact_law.law(claim, sent, exact_law.as_drawn(claim)) for sent in (0.8, 0.75, 0.85))

    assert right.failed + right.lost <= claim.alpha
    assert low.failed - low.lost >= 1 - claim.beta
    assert high.failed - high.lost >= 1 - claim.beta
