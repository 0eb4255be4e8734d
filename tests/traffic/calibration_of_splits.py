"""The sequential test calibrated: errors of both kinds and sizes of samples, row by row. A lane of its own (`make calibration`).

False failures by importance sampling: drawn under the mixture, where failing is
certain, each weighs 1/E. Misses and sizes by simulation. REPETITIONS (default 2,000).
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
from collections import Counter

import pytest

from pytest_mesh.traffic.statistics import SplitClaim, judge, log_e_value

REPETITIONS = int(os.environ.get("REPETITIONS", "2000"))
ROWS = [
    ({"v1": 80, "v2": 20}, 0.05, 1350, {"v1": 75, "v2": 25}),
    ({"v1": 80, "v2": 20}, 0.02, 8268, {"v1": 78, "v2": 22}),
    ({"v1": 80, "v2": 10, "v3": 10}, 0.05, 1370, {"v1": 75, "v2": 15, "v3": 10}),
    ({"v1": 50, "v2": 25, "v3": 25}, 0.05, 2243, {"v1": 50, "v2": 30, "v3": 20}),
]
"""Weights, delta, mean size of a right mesh's sample as published, and what a wrong mesh sends."""
_STEPS = 50


def sample(rng: random.Random, claim: SplitClaim, sent: dict[str, int]) -> tuple[str, int]:
    """Draw until the verdict stands."""
    names, weights = list(sent), list(sent.values())
    counts: Counter[str] = Counter()
    step = max(10, claim.mean_size // _STEPS)
    while True:
        counts.update(rng.choices(names, weights, k=step))
        judgement = judge(claim, counts)
        if judgement.final:
            return judgement.decision, judgement.requests


def false_failures(rng: random.Random, claim: SplitClaim, number: int) -> float:
    """Estimate the probability of failing a right mesh."""
    concentration = claim.variance / claim.delta**2 - 1
    weighed = 0.0
    for _ in range(number):
        truth = {name: rng.gammavariate(concentration * share, 1) for name, share in claim.shares.items()}
        counts: Counter[str] = Counter()
        for _ in range(400):
            counts.update(rng.choices(list(truth), list(truth.values()), k=max(10, claim.mean_size // _STEPS)))
            value = log_e_value(claim, counts)
            if value >= -math.log(claim.alpha):
                weighed += math.exp(-value)
                break
    return weighed / number


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("weights", "delta", "published", "sent"), ROWS)
def test_errors_and_sizes_are_those_that_are_promised(weights, delta, published, sent, capsys):
    rng = random.Random(11)
    claim = SplitClaim.of(weights, delta=delta)
    number = REPETITIONS if published < 5000 else max(1, REPETITIONS // 5)

    right = [sample(rng, claim, weights) for _ in range(number)]
    wrong = [sample(rng, claim, sent) for _ in range(number)]
    type_one = false_failures(rng, claim, max(50, number // 5))

    mean = statistics.mean(size for _, size in right)
    missed = sum(decision != "fail" for decision, _ in wrong) / number
    with capsys.disabled():
        sys.stdout.write(
            f"\n{'/'.join(map(str, weights.values()))} within {100 * delta:g} points, {number} times: right: "
            f"{mean:.0f} requests in the mean ({published} published), {sum(d != 'pass' for d, _ in right)} not passed; "
            f"sent {'/'.join(map(str, sent.values()))}: {statistics.mean(size for _, size in wrong):.0f} requests, "
            f"{100 * missed:.2f} % missed; false failures {type_one:.2g}\n"
        )
    assert abs(mean / published - 1) <= 0.10
    assert [decision for decision, _ in right if decision == "fail"] == []
    # Three standard deviations of a count whose mean is beta times the repetitions.
    assert missed * number <= claim.beta * number + 3 * math.sqrt(claim.beta * number)
    assert 0 < type_one <= claim.alpha
