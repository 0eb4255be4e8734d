"""Claims about shares as a person states them: drawn until the verdict stands, or judged on what was counted already.

The mathematics is in ``statistics``; how requests are sent is the caller's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_mesh.failures import Inconclusive, SplitFailure, hidden
from pytest_mesh.traffic.statistics import (
    ALPHA,
    BETA,
    Judgement,
    Run,
    SplitClaim,
    interval,
    judge,
    unit_unknown,
    unit_violation,
)

__tracebackhide__ = hidden

FIRST_DRAW = 200
LARGEST_DRAW = 5_000
UNIT_DRAW = 64
"""Picks at a time while it is connections that are wanted, to tell a wrong mesh from a sampling unit of connections."""
FARTHEST = 10**12
"""Sizes of samples beyond this are told as never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What one draw brought: how often each name was seen, and in which order along each connection."""

    counts: Mapping[str, int]
    runs: Sequence[Sequence[Run]] = ()
    """Run lengths by connection, for the check of the sampling unit; empty = not known, and not checked."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """What came back and is none of the names; any fails the claim."""
    seconds: float = 0.0


def assert_split(
    observed: Mapping[str, int],
    weights: Mapping[str, float],
    delta: float = 5.0,
    *,
    alpha: float = ALPHA,
    beta: float = BETA,
    what: str = "observations",
) -> Judgement:
    """Judge counts that are there already: pass, fail, or say how many more it would take.

    Args:
        observed: how often each name was seen; each observation an independent pick.
        weights: share of each name (any scale); 0 = must never be seen.
        delta: percentage points by which a share may be wrong before it must be found.
        alpha: chance of failing what is right, over all looks at growing counts.
        beta: chance of passing a share that is off by ``delta``.
        what: what was counted, for the message.

    Raises:
        SplitFailure: the counts do not come by the weights.
        Inconclusive: they are too few; says about how many more would do.
        ValueError: weights or delta make no claim, or a count is negative.
    """
    if any(count < 0 for count in observed.values()):
        raise ValueError(f"observed {dict(observed)!r}: a count is below 0")
    claim = SplitClaim.of(weights, delta=delta / 100, alpha=alpha, beta=beta)
    judgement = judge(claim, observed)
    if judgement.decision == "fail":
        raise SplitFailure(f"{what}: {failure_text(claim, judgement, observed)}")
    if judgement.decision != "pass":
        raise Inconclusive(
            f"{what}: {judgement.reason}: {needed_text(claim, observed)}\n{evidence_text(claim, judgement, observed)}"
        )
    return judgement


def draw_until(
    claim: SplitClaim,
    draw: Callable[[int], Draw],
    *,
    what: str,
    note: Callable[..., None],
    cap: int | None = None,
) -> Judgement:
    """Draw until the sequential test stands; raises ``SplitFailure`` or ``Inconclusive``.

    Args:
        claim: what is claimed.
        draw: gives so many more picks (or some more, where it cannot tell exactly).
        what: what is asked, at the beginning of each message.
        note: takes the facts of the evidence.
        cap: picks after which an undecided test is inconclusive; None = the claim's own.
    """
    limit = claim.cap if cap is None else cap
    counts: Counter[str] = Counter()
    runs: list[Sequence[Run]] = []
    seconds = 0.0
    judgement = judge(claim, counts, cap=limit)
    unknown = ""
    while not judgement.final or (unknown and judgement.requests < limit):
        few = unknown and judgement.decision == "fail"
        drawn = draw(UNIT_DRAW if few else next_draw(claim, judgement.requests, limit))
        counts.update(drawn.counts)
        runs.extend(drawn.runs)
        seconds += drawn.seconds
        judgement = judge(claim, counts, cap=limit)
        if drawn.failures:
            note(**facts(claim, judgement, counts, "", seconds))
            said = ", ".join(f"{number} x {name}" for name, number in sorted(drawn.failures.items()))
            raise SplitFailure(
                f"{what}: {said} among {sum(drawn.counts.values()) + sum(drawn.failures.values())} requests "
                f"that a workload should have answered\n{evidence_text(claim, judgement, counts)}"
            )
        # Blocks cannot excuse an answer from where none may come.
        excusable = judgement.decision in {"pass", "fail"} and set(counts) <= set(claim.shares)
        unknown = unit_unknown(claim, judgement.decision, runs) if excusable and not unit_violation(runs) else ""
    violation = unit_violation(runs) or unknown
    note(**facts(claim, judgement, counts, violation, seconds))
    if judgement.decision == "fail" and not (violation and set(counts) <= set(claim.shares)):
        raise SplitFailure(f"{what}: {failure_text(claim, judgement, counts)}")
    if violation:
        raise Inconclusive(f"{what}: {violation}\n{evidence_text(claim, judgement, counts)}")
    if judgement.decision == "inconclusive":
        reason = f"{judgement.reason} of {limit} requests"
        raise Inconclusive(f"{what}: {reason}\n{evidence_text(claim, judgement, counts)}")
    return judgement


def next_draw(claim: SplitClaim, drawn: int, cap: int) -> int:
    """Give the size of the next draw: small at first, then up to half of the mean in one, then a tenth of the mean each.

    What is far off shows in the first; a right mesh seldom passes before half of the mean; tenths stop early.
    """
    tenth = max(FIRST_DRAW, claim.mean_size // 10)
    step = FIRST_DRAW if drawn == 0 else max(tenth, claim.mean_size // 2 - drawn)
    return max(1, min(step, LARGEST_DRAW, cap - drawn))


def more_needed(claim: SplitClaim, counts: Mapping[str, int]) -> int:
    """Give about how many more observations decide it, if they come by the shares seen so far; -1 = no number does."""
    requests = sum(counts.values())
    if not requests:
        return claim.mean_size
    if judge(claim, counts, cap=FARTHEST).final:
        return 0

    def final(size: int) -> bool:
        scaled = {name: round(count * size / requests) for name, count in counts.items()}
        return judge(claim, scaled, cap=FARTHEST).final

    low, high = requests, 2 * requests
    while not final(high):
        if high > FARTHEST:
            return -1
        low, high = high, 2 * high
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if final(middle) else (middle, high)
    return high - requests


def needed_text(claim: SplitClaim, counts: Mapping[str, int]) -> str:
    """Say how many more observations it would take."""
    more = more_needed(claim, counts)
    if more < 0:
        return "no number of more observations decides it if they come by these shares, half-way to an error of delta"
    return f"undecided, about {more} more would decide it"


def failure_text(claim: SplitClaim, judgement: Judgement, counts: Mapping[str, int]) -> str:
    """Say what fails: the reason on a line, then the evidence."""
    return (
        f"{judgement.reason}; claimed with delta {100 * claim.delta:g} points, alpha {claim.alpha:g}\n"
        f"{evidence_text(claim, judgement, counts)}"
    )


def evidence_text(claim: SplitClaim, judgement: Judgement, counts: Mapping[str, int]) -> str:
    """Give each share with what the sample leaves possible, and what the test makes of it, a line each."""
    return (
        f"{details(claim, counts)}\n"
        f"  e-value {_power(judgement.log_e_value)} after {judgement.requests} requests, delta {100 * claim.delta:g} points; "
        f"a right mesh reaches {_power(-math.log(claim.alpha))} with probability {claim.alpha:g}, and passes after about "
        f"{claim.mean_size}"
    )


def details(claim: SplitClaim, counts: Mapping[str, int]) -> str:
    """Give each name's count, share and confidence sequence, a line each."""
    requests = sum(counts.values())
    names = dict.fromkeys([*claim.shares, *sorted(claim.absent), *sorted(counts)])
    lines = []
    for name in names:
        count = counts.get(name, 0)
        low, high = interval(count, requests, beta=claim.beta)
        share = 100 * count / requests if requests else 0.0
        lines.append(
            f"  {name}: {count} of {requests} = {share:.2f} %, claimed {100 * claim.shares.get(name, 0):g} %; "
            f"confidence sequence {100 * low:.2f} to {100 * high:.2f} % (level {100 * (1 - claim.beta):g} %)"
        )
    return "\n".join(lines)


def facts(
    claim: SplitClaim, judgement: Judgement, counts: Mapping[str, int], violation: str, seconds: float
) -> dict[str, Any]:
    """Give what goes into the check's evidence."""
    return {
        "requests": judgement.requests,
        "counts": dict(sorted(counts.items())),
        "shares": dict(claim.shares),
        "delta": claim.delta,
        "alpha": claim.alpha,
        "beta": claim.beta,
        "eValue": float(f"{math.exp(min(judgement.log_e_value, 700)):.3g}"),
        "decision": judgement.decision,
        "drawSeconds": round(seconds, 3),
        **({"unit": violation} if violation else {}),
    }


def _power(log_value: float) -> str:
    return f"10^{log_value / math.log(10):.1f}"
