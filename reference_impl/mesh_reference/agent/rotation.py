"""When a workload's certificate is renewed, and how long to wait after a failure.

Pure: moments in, seconds out; the spread is drawn by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 10.0


def renewal_seconds(*, now: datetime, issued: datetime, expires: datetime, ratio: float, jitter: float) -> float:
    """Give the seconds until renewal: ``ratio`` ± jitter of the whole life before its end (IST-ROT).

    ``issued`` is when the certificate arrived, not its NotBefore, which is set
    back for skewed clocks. ``jitter`` is the amount drawn for this certificate,
    for example -0.01 to 0.01. Never negative.
    """
    life = (expires - issued).total_seconds()
    share_left = min(max(ratio + jitter, 0.0), 1.0)
    due = life * (1 - share_left)
    return max(due - (now - issued).total_seconds(), 0.0)


def retry_seconds(attempt: int, *, spread: float) -> float:
    """Give the pause after failure number ``attempt`` (from 0): doubled each time, then times 1 ± ``spread``."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(attempt, 20), LAST_RETRY_SECONDS) * (1 + spread)
