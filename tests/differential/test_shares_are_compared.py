"""The test on two samples: its errors are bounded, and it comes to an end."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from random import Random

import pytest

from pytest_mesh.differential.shares import ALPHA, CAP, compare, log_e_value


def test_two_kinds_of_answers_are_told_apart_by_fifteen_of_each() -> None:
    assert compare({"a": 15}, {"b": 15}).decision == "different"
    assert compare({"a": 8}, {"b": 8}).decision == "undecided"


def test_nothing_is_decided_without_answers() -> None:
    assert compare({}, {}).decision == "undecided"
    assert compare({"a": 50}, {}).decision == "undecided"


@pytest.mark.parametrize("shares", [(0.02, 0.98), (0.2, 0.8), (0.5, 0.5), (0.2, 0.3, 0.5), (0.05, 0.05, 0.9)])
def test_the_evidence_against_equal_meshes_is_at_most_one_in_the_mean(shares: tuple[float, ...]) -> None:
    """The law that makes alpha hold however often one looks, by going through all samples of five and five."""
    samples = [(one, chance(one, shares)) for one in product(range(6), repeat=len(shares)) if sum(one) == 5]
    mean = math.fsum(
        likely * likely_too * math.exp(log_e_value(named(one), named(other)))
        for one, likely in samples
        for other, likely_too in samples
    )
    assert math.fsum(likely for _, likely in samples) == pytest.approx(1)
    assert mean <= 1 + 1e-9


def chance(counts: tuple[int, ...], shares: tuple[float, ...]) -> float:
    ways = math.factorial(sum(counts)) / math.prod(math.factorial(count) for count in counts)
    return ways * math.prod(share**count for share, count in zip(shares, counts, strict=True))


def named(counts: tuple[int, ...]) -> dict[str, int]:
    return {name: count for name, count in zip("abc", counts, strict=False) if count}


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.02, 0.02), (1.0, 1.0), (0.25, 0.25)])
def test_equal_meshes_are_the_same_before_the_cap(shares: tuple[float, float]) -> None:
    assert {drawn(shares, seed) for seed in range(20)} == {"same"}


@pytest.mark.parametrize("shares", [(0.5, 0.15), (0.02, 0.4), (1.0, 0.65)])
def test_a_difference_larger_than_delta_is_found(shares: tuple[float, float]) -> None:
    assert {drawn(shares, seed) for seed in range(20)} == {"different"}


def drawn(shares: tuple[float, float], seed: int) -> str:
    random = Random(seed)
    counts = Counter[str](), Counter[str]()
    while counts[0].total() < CAP:
        for side, share in zip(counts, shares, strict=True):
            side.update("a" if random.random() < share else "b" for _ in range(24))
        found = compare(*counts)
        if found.decision != "undecided":
            return found.decision
    return "undecided"


def test_alpha_is_that_of_every_other_sampling_check() -> None:
    assert ALPHA == 1e-6
