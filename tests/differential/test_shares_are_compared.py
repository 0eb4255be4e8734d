"""The test on two samples: its errors are bounded, and it comes to an end."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from random import Random

import pytest

from pytest_mesh.differential.shares import ALPHA, CAP, compare, log_e_value


def test_two_kinds_of_answers_are_told_apart_by_sixteen_of_each() -> None:
    assert compare({"a": 16}, {"b": 16}).decision == "different"
    assert compare({"a": 8}, {"b": 8}).decision == "undecided"


def test_nothing_is_decided_without_answers() -> None:
    assert compare({}, {}).decision == "undecided"
    assert compare({"a": 50}, {}).decision == "undecided"


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5])
def test_the_evidence_against_equal_meshes_is_at_most_one_in_the_mean(share: float) -> None:
    """The law that makes alpha hold however often one looks, by going through all samples of six and six."""
    mean = 0.0
    for one, other in product(range(7), repeat=2):
        chance = math.prod(math.comb(6, hits) * share**hits * (1 - share) ** (6 - hits) for hits in (one, other))
        counts = [{"a": hits, "b": 6 - hits} for hits in (one, other)]
        mean += chance * math.exp(log_e_value(*counts))
    assert mean <= 1 + 1e-9


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
