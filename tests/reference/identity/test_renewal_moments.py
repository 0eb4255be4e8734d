"""When a certificate is renewed: laws over all lives, ratios and jitters (IST-ROT)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.agent import rotation

START = datetime(2026, 1, 1, tzinfo=UTC)
LIVES = st.floats(1, 90 * 86400)
RATIOS = st.floats(0, 1)
JITTERS = st.floats(-0.01, 0.01)


def renewal(life: float, age: float, ratio: float, jitter: float) -> float:
    return rotation.renewal_seconds(
        now=START + timedelta(seconds=age),
        issued=START,
        expires=START + timedelta(seconds=life),
        ratio=ratio,
        jitter=jitter,
    )


@given(LIVES, JITTERS)
def test_half_life_is_met_within_one_percent(life, jitter):
    assert 0.49 * life - 1e-3 <= renewal(life, 0, 0.5, jitter) <= 0.51 * life + 1e-3


@given(LIVES, RATIOS, JITTERS, st.floats(0, 2))
def test_a_renewal_is_never_in_the_past_nor_after_the_end(life, ratio, jitter, age):
    assert 0 <= renewal(life, age * life, ratio, jitter) <= life + 1e-5  # a timedelta's grain


@given(LIVES, RATIOS, JITTERS, st.floats(0, 0.4))
def test_the_moment_does_not_depend_on_when_one_asks(life, ratio, jitter, age):
    due = renewal(life, 0, ratio, jitter)
    later = renewal(life, age * due, ratio, jitter)
    assert abs(due - (age * due + later)) < 1e-3


@given(st.integers(0, 1000))
def test_pauses_grow_and_end_at_ten_seconds(attempt):
    pause = rotation.retry_seconds(attempt, spread=0)
    assert 0.1 <= pause <= rotation.retry_seconds(attempt + 1, spread=0) <= 10
