"""The sequential test keeps its promises: errors of the first kind, sizes of samples, known bugs found."""

from __future__ import annotations

import math
import random
from bisect import bisect
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.traffic.statistics import SplitClaim, interval, judge, log_e_value, unit_violation

STEP = 25


def draw(rng: random.Random, shares: dict[str, float], counts: dict[str, int], number: int) -> None:
    names = list(shares)
    edges = list(accumulate(shares.values()))
    for _ in range(number):
        name = names[min(bisect(edges, rng.random()), len(names) - 1)]
        counts[name] = counts.get(name, 0) + 1


def sample(rng: random.Random, claim: SplitClaim, shares: dict[str, float], step: int = STEP):
    counts: dict[str, int] = {}
    while True:
        draw(rng, shares, counts, step)
        judgement = judge(claim, counts)
        if judgement.final:
            return judgement


@pytest.mark.parametrize(
    ("weights", "delta", "mean"),
    [
        ({"v1": 80, "v2": 20}, 0.05, 1350),
        ({"v1": 80, "v2": 20}, 0.02, 8268),
        ({"v1": 80, "v2": 10, "v3": 10}, 0.05, 1370),
        ({"v1": 50, "v2": 25, "v3": 25}, 0.05, 2243),
        ({"v1": 99, "v2": 1}, 0.01, 2347),
    ],
)
def test_a_right_mesh_passes_after_about_the_published_number_of_requests(weights, delta, mean):
    rng = random.Random(5)
    claim = SplitClaim.of(weights, delta=delta)
    repetitions = 240 if mean < 5000 else 60

    judgements = [sample(rng, claim, dict(claim.shares), max(STEP, mean // 100)) for _ in range(repetitions)]

    assert {judgement.decision for judgement in judgements} == {"pass"}
    average = sum(judgement.requests for judgement in judgements) / repetitions
    # The spread of one size is about 0.36 of the mean: three sigmas of the average beside the tenth that is allowed.
    assert abs(average / mean - 1) <= 0.10 + 3 * 0.36 / math.sqrt(repetitions)


@pytest.mark.parametrize(
    ("weights", "sent"),
    [
        ({"v1": 80, "v2": 20}, {"v1": 0.75, "v2": 0.25}),
        ({"v1": 80, "v2": 20}, {"v1": 0.85, "v2": 0.15}),
        ({"v1": 50, "v2": 25, "v3": 25}, {"v1": 0.50, "v2": 0.30, "v3": 0.20}),
    ],
)
def test_a_mesh_that_is_off_by_delta_fails(weights, sent):
    rng = random.Random(6)
    claim = SplitClaim.of(weights, delta=0.05)

    decisions = [sample(rng, claim, sent).decision for _ in range(100)]

    assert decisions.count("fail") == 100


def test_a_split_whose_third_backend_gets_nothing_fails_early():
    rng = random.Random(7)
    claim = SplitClaim.of({"v1": 80, "v2": 10, "v3": 10}, delta=0.05)

    judgements = [sample(rng, claim, {"v1": 0.8, "v2": 0.2}, 10) for _ in range(60)]

    assert {judgement.decision for judgement in judgements} == {"fail"}
    assert sum(judgement.requests for judgement in judgements) / 60 == pytest.approx(204, rel=0.25)


@pytest.mark.parametrize("weights", [{"v1": 80, "v2": 20}, {"v1": 50, "v2": 25, "v3": 25}])
def test_a_right_mesh_is_failed_less_often_than_alpha(weights):
    """Importance sampling: draw under the mixture itself, where failing is certain, and weigh by 1/E."""
    rng = random.Random(8)
    claim = SplitClaim.of(weights, delta=0.05)
    concentration = max(w * (1 - w) for w in claim.shares.values()) / claim.delta**2 - 1
    weighed = []
    for _ in range(200):
        gammas = {name: rng.gammavariate(concentration * share, 1) for name, share in claim.shares.items()}
        truth = {name: gamma / sum(gammas.values()) for name, gamma in gammas.items()}
        counts: dict[str, int] = {}
        for _ in range(110):
            draw(rng, truth, counts, 10 + sum(counts.values()) // 20)
            value = log_e_value(claim, counts)
            if value >= -math.log(claim.alpha):
                weighed.append(math.exp(-value))
                break
    type_one = sum(weighed) / 200
    assert 1e-8 < type_one <= claim.alpha


def test_one_answer_from_a_backend_of_weight_zero_fails():
    claim = SplitClaim.of({"v1": 100, "v2": 0}, delta=0.05)

    judgement = judge(claim, {"v1": 50, "v2": 1})

    assert judgement.decision == "fail"
    assert judgement.reason == "1 of 51 came from 'v2', whose share is 0"


def test_an_answer_from_a_backend_that_nobody_named_fails():
    assert judge(SplitClaim.of({"v1": 1, "v2": 1}, delta=0.05), {"v1": 1, "x": 1}).decision == "fail"


def test_a_backend_that_takes_all_passes_when_a_leak_of_delta_is_rejected():
    claim = SplitClaim.of({"v1": 100}, delta=0.05)

    assert judge(claim, {"v1": 134}).decision == "undecided"
    assert judge(claim, {"v1": 135}).decision == "pass"


def test_a_deterministic_round_robin_passes():
    assert judge(SplitClaim.of({"v1": 80, "v2": 20}, delta=0.05), {"v1": 800, "v2": 200}).decision == "pass"


def test_a_sample_at_the_cap_is_inconclusive():
    claim = SplitClaim.of({"v1": 80, "v2": 20}, delta=0.05)
    counts = {"v1": 225, "v2": 75}

    assert judge(claim, counts).decision == "undecided"
    assert judge(claim, counts, cap=300).decision == "inconclusive"


@pytest.mark.parametrize(
    ("weights", "delta"),
    [({}, 0.05), ({"a": -1, "b": 2}, 0.05), ({"a": 0}, 0.05), ({"a": 1}, 0.0), ({"a": 1}, 5), ({"a": math.nan}, 0.1)],
)
def test_a_claim_that_makes_no_sense_is_refused(weights, delta):
    with pytest.raises(ValueError, match=r"weights|delta"):
        SplitClaim.of(weights, delta=delta)


@given(scale=st.integers(1, 1000), counts=st.tuples(st.integers(0, 3000), st.integers(0, 3000)))
def test_the_scale_of_weights_does_not_matter(scale, counts):
    observed = {"a": counts[0], "b": counts[1]}
    one = judge(SplitClaim.of({"a": 7, "b": 3}, delta=0.05), observed)
    other = judge(SplitClaim.of({"a": 7 * scale, "b": 3 * scale}, delta=0.05), observed)

    assert one.decision == other.decision


def runs_of(picks: list[str]) -> list[tuple[str, int]]:
    return [(pick, 1) for pick in picks]


def test_independent_picks_do_not_violate_the_unit():
    rng = random.Random(9)
    alarms = [unit_violation([runs_of(rng.choices(["a", "b"], [8, 2], k=170)) for _ in range(8)]) for _ in range(200)]
    assert alarms == [""] * 200


@pytest.mark.parametrize("block", [2, 5, 10])
def test_picks_that_repeat_in_blocks_violate_the_unit(block):
    rng = random.Random(10)
    picks = [pick for pick in rng.choices(["a", "b"], [8, 2], k=1400 // block) for _ in range(block)]

    assert "picks repeat in blocks" in unit_violation([runs_of(picks)])


def test_connections_that_each_stick_to_one_backend_violate_the_unit():
    connections = [[("a", 100)]] * 8 + [[("b", 100)]] * 2

    assert "changed 0 times" in unit_violation(connections)


def test_a_deterministic_round_robin_does_not_violate_the_unit():
    assert unit_violation([runs_of(["a", "a", "a", "a", "b"] * 200)]) == ""


@given(hits=st.integers(0, 3_000), misses=st.integers(0, 3_000))
def test_the_confidence_sequence_holds_what_was_seen(hits, misses):
    low, high = interval(hits, hits + misses)

    assert 0 <= low <= high <= 1
    if hits + misses:
        assert low <= hits / (hits + misses) <= high


def test_the_confidence_sequence_misses_the_true_share_at_no_size_of_the_sample():
    generator = random.Random(7)
    missed = 0
    for _ in range(200):
        hits = 0
        for size in range(1, 401):
            hits += generator.random() < 0.8
            if size % 20 == 0:
                low, high = interval(hits, size, beta=0.05)
                if not low <= 0.8 <= high:
                    missed += 1
                    break
    assert missed <= 10 + 9  # 5 % of 200, and three standard deviations


def test_the_confidence_sequence_narrows():
    wide, narrow = interval(80, 100), interval(8_000, 10_000)

    assert wide[1] - wide[0] > 0.2
    assert narrow[1] - narrow[0] < 0.04
