"""Claims on counts that are there already, and what a failing one says."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.failures import Inconclusive, SplitFailure
from pytest_mesh.traffic.splits import Draw, assert_split, draw_until, more_needed
from pytest_mesh.traffic.statistics import SplitClaim, judge

WEIGHTS = {"v1": 80, "v2": 20}
CLAIM = SplitClaim.of(WEIGHTS, delta=0.05)


def test_counts_that_come_by_the_weights_pass():
    assert assert_split({"v1": 1610, "v2": 390}, WEIGHTS).decision == "pass"


def test_counts_that_do_not_fail_with_shares_sequences_evidence_and_size():
    with pytest.raises(SplitFailure) as caught:
        assert_split({"v1": 2100, "v2": 700}, WEIGHTS, what="access log")

    first, *rest = str(caught.value).splitlines()
    assert re.fullmatch(
        r"access log: v1 75\.00 % \(claimed 80 %\), v2 25\.00 % \(claimed 20 %\) of 2800 requests: e-value 10\^7\.\d; "
        r"claimed with delta 5 points, alpha 1e-06",
        first,
    )
    assert re.search(r"v1: 2100 of 2800 = 75\.00 %, claimed 80 %; confidence sequence 71\.\d+ to 78\.\d+ %", rest[0])
    assert rest[1].startswith("  v2: 700 of 2800")
    assert "after 2800 requests" in rest[2]


def test_too_few_say_how_many_more_it_takes():
    with pytest.raises(Inconclusive, match=r"about (\d+) more would decide it") as caught:
        assert_split({"v1": 160, "v2": 40}, WEIGHTS)

    more = int(re.search(r"about (\d+) more", str(caught.value))[1])
    assert judge(CLAIM, {"v1": round(0.8 * (200 + more)), "v2": round(0.2 * (200 + more))}).decision == "pass"


def test_nothing_seen_yet_needs_the_mean_size():
    with pytest.raises(Inconclusive, match=f"about {CLAIM.mean_size} more"):
        assert_split({}, WEIGHTS)


@given(hits=st.integers(0, 400), misses=st.integers(0, 400))
def test_so_many_more_by_the_same_shares_do_decide(hits, misses):
    more = more_needed(CLAIM, {"v1": hits, "v2": misses})

    if more >= 0 and hits + misses:
        size = hits + misses + more
        scaled = {"v1": round(hits * size / (hits + misses)), "v2": round(misses * size / (hits + misses))}
        assert judge(CLAIM, scaled, cap=10**13).final


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="below 0"):
        assert_split({"v1": -1}, WEIGHTS)


def draws(shares, failures=None, block=1):
    """Give a draw of independent picks, or of picks that repeat."""
    rng = random.Random(4)

    def draw(number):
        picks = [
            pick
            for pick in rng.choices(list(shares), list(shares.values()), k=-(-number // block))
            for _ in range(block)
        ]
        counts = {name: picks.count(name) for name in shares}
        return Draw(counts=counts, runs=[[(pick, 1) for pick in picks]], failures=failures or {}, seconds=0.5)

    return draw


def test_drawing_ends_with_the_verdict_and_notes_what_it_rests_on():
    noted = {}

    judgement = draw_until(CLAIM, draws({"v1": 80, "v2": 20}), what="reviews", note=noted.update)

    assert judgement.decision == noted["decision"] == "pass"
    assert noted["requests"] == sum(noted["counts"].values()) == judgement.requests
    assert (noted["delta"], noted["alpha"], noted["beta"]) == (0.05, 1e-6, 1e-3)
    assert noted["drawSeconds"] > 0


def test_drawing_fails_where_the_shares_are_off():
    with pytest.raises(SplitFailure, match="reviews: v1 6"):
        draw_until(CLAIM, draws({"v1": 70, "v2": 30}), what="reviews", note=lambda **_: None)


def test_an_answer_of_nobody_fails():
    with pytest.raises(SplitFailure, match="reviews: 2 x status 503 among 202 requests"):
        draw_until(CLAIM, draws({"v1": 1}, {"status 503": 2}), what="reviews", note=lambda **_: None)


def test_picks_in_blocks_are_inconclusive_and_never_failed():
    with pytest.raises(Inconclusive, match="sampling unit violated"):
        draw_until(CLAIM, draws({"v1": 70, "v2": 30}, block=10), what="reviews", note=lambda **_: None)


def lanes(shares, block, seed):
    """Give a draw over 16 new connections each time; a pick is repeated ``block`` times along its connection, 0 = for ever."""
    rng = random.Random(seed)

    def draw(number):
        runs = []
        for lane in range(min(16, number)):
            length = len(range(lane, number, 16))
            times = block or length
            picks = rng.choices(list(shares), list(shares.values()), k=-(-length // times))
            runs.append([(pick, min(times, length - at * times)) for at, pick in enumerate(picks)])
        counts = Counter()
        for name, times in (run for lane in runs for run in lane):
            counts[name] += times
        return Draw(counts=counts, runs=runs)

    return draw


def ends(claim, shares, block, times=12):
    """Give how often drawing ends how."""
    found = Counter()
    for seed in range(times):
        try:
            draw_until(claim, lanes(shares, block, seed), what="x", note=lambda **_: None)
            found["pass"] += 1
        except (SplitFailure, Inconclusive) as error:
            found[type(error).__name__] += 1
    return found


@pytest.mark.parametrize(("first", "delta"), [(80, 0.05), (90, 0.05), (95, 0.05), (99, 0.01)])
@pytest.mark.parametrize("block", [0, 10], ids=["by connection", "in blocks of 10"])
def test_a_mesh_that_picks_by_connection_or_in_blocks_is_inconclusive_whatever_the_weights(first, delta, block):
    shares = {"v1": first, "v2": 100 - first}
    assert ends(SplitClaim.of(shares, delta=delta), shares, block) == {"Inconclusive": 12}


@pytest.mark.parametrize(("first", "delta"), [(90, 0.05), (95, 0.05), (99, 0.01)])
def test_a_right_mesh_passes_where_nearly_every_answer_is_the_same(first, delta):
    shares = {"v1": first, "v2": 100 - first}
    assert ends(SplitClaim.of(shares, delta=delta), shares, 1) == {"pass": 12}


@pytest.mark.parametrize("first", [80, 90, 95])
def test_a_mesh_that_sends_everything_to_one_fails_all_the_same(first):
    claim = SplitClaim.of({"v1": first, "v2": 100 - first}, delta=0.05)
    assert ends(claim, {"v1": 1, "v2": 0}, 1, times=3) == {"SplitFailure": 3}
    assert ends(claim, {"v1": 0, "v2": 1}, 1, times=3) == {"SplitFailure": 3}


def test_a_cap_ends_it():
    with pytest.raises(Inconclusive, match="undecided at the cap of 300 requests"):
        draw_until(CLAIM, draws({"v1": 80, "v2": 20}), what="reviews", note=lambda **_: None, cap=300)
