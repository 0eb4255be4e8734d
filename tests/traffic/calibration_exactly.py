"""How often the sequential test misses an error of delta, and how often it fails a right mesh. A lane of its own (`make calibration`).

Two shares are computed exactly (``exact_law``), as ``assert_split`` draws and with a look after each
request. Of three shares misses are measured by importance sampling: drawn from a right mesh, where passing
is all but certain, each pass weighs its likelihood under the wrong one. REPETITIONS (default 2,000).
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import exact_law

from pytest_mesh.traffic.statistics import SplitClaim, judge

REPETITIONS = int(os.environ.get("REPETITIONS", "2000"))
PUBLISHED = 0.001
"""Probability of missing an error of delta, at most: 99.9 % are found."""
SIGMAS = 4.0
"""Standard errors added to what was measured: its bound is exceeded once in 30,000 measurements."""
TWO = [
    (0.05, exact_law.as_drawn),
    (0.05, exact_law.one_by_one),
    (0.02, exact_law.as_drawn),
    (0.02, exact_law.one_by_one),
    (0.01, exact_law.as_drawn),
]
THREE = [
    ({"v1": 80, "v2": 10, "v3": 10}, [(78, 12, 10), (82, 8, 10), (80, 12, 8), (78, 11, 11), (82, 9, 9)]),
    ({"v1": 50, "v2": 25, "v3": 25}, [(48, 27, 25), (52, 23, 25), (50, 27, 23), (48, 26, 26), (52, 24, 24)]),
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("delta", "steps"), TWO, ids=lambda one: getattr(one, "__name__", one))
def test_80_to_20_misses_no_more_and_fails_no_more_than_is_promised(delta, steps, capsys):
    claim = SplitClaim.of({"v1": 80, "v2": 20}, delta=delta)

    right = exact_law.law(claim, 0.8, steps(claim))
    wrong = [exact_law.law(claim, 0.8 + error, steps(claim)) for error in (-delta, delta)]

    with capsys.disabled():
        sys.stdout.write(
            f"\n80/20 within {100 * delta:g} points, {steps.__name__.replace('_', ' ')}, exactly: right: {right.mean:.0f} "
            f"requests in the mean, {right.quantile(0.95)} at p95, failed with probability {right.failed:.3g}"
        )
        for sent, one in zip((-delta, delta), wrong, strict=True):
            sys.stdout.write(
                f"; {100 * (0.8 + sent):g}/{100 * (0.2 - sent):g}: {one.mean:.0f} requests ({one.quantile(0.95)}), "
                f"missed with probability {1 - one.failed:.3g}"
            )
        sys.stdout.write("\n")
    assert right.failed + right.lost <= claim.alpha
    assert right.inconclusive + right.lost <= claim.alpha
    for one in wrong:
        assert one.failed - one.lost >= 1 - PUBLISHED


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("weights", "wrong"), THREE)
def test_of_three_shares_one_that_is_two_points_off_is_found(weights, wrong, capsys):
    claim = SplitClaim.of(weights, delta=0.02)
    number = max(200, REPETITIONS // 2)

    sizes, likelihoods = passes(random.Random(5), claim, weights, wrong, number)

    with capsys.disabled():
        sys.stdout.write(
            f"\n{'/'.join(map(str, weights.values()))} within 2 points, {number} times: {statistics.mean(sizes):.0f} "
            f"requests in the mean, {sorted(sizes)[round(0.95 * number)]} at p95, missed:"
        )
        for sent, found in likelihoods.items():
            sys.stdout.write(f" {'/'.join(map(str, sent))} {statistics.mean(found):.3g} (at most {bound(found):.3g});")
        sys.stdout.write("\n")
    for found in likelihoods.values():
        assert bound(found) <= PUBLISHED


def passes(
    rng: random.Random, claim: SplitClaim, weights: Mapping[str, int], wrong: list[tuple[int, ...]], number: int
) -> tuple[list[int], dict[tuple[int, ...], list[float]]]:
    """Draw from a right mesh; give sizes, and of each wrong one how likely each pass would have been (0 = no pass)."""
    sizes: list[int] = []
    likelihoods: dict[tuple[int, ...], list[float]] = {sent: [] for sent in wrong}
    for _ in range(number):
        counts: Counter[str] = Counter()
        for step in exact_law.as_drawn(claim):
            counts.update(rng.choices(list(weights), list(weights.values()), k=step))
            judgement = judge(claim, counts)
            if judgement.final:
                break
        sizes.append(counts.total())
        for sent, found in likelihoods.items():
            ratios = zip(weights, weights.values(), sent, strict=True)
            value = sum(counts[name] * math.log(other / weight) for name, weight, other in ratios)
            found.append(math.exp(value) if judgement.decision == "pass" else 0.0)
    return sizes, likelihoods


def bound(found: list[float]) -> float:
    """Give what the mean is below with all but certainty."""
    return statistics.mean(found) + SIGMAS * statistics.stdev(found) / math.sqrt(len(found))
