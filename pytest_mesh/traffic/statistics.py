"""One sequential test for every claim about shares (splits, mirrored and aborted percentages). Pure.

FAIL when the Dirichlet-multinomial mixture e-process reaches 1/alpha: by Ville's
inequality a right mesh is ever failed with probability alpha at most, however
often one looks. PASS when, for each share and each side, "off by delta" is
rejected at level beta by a likelihood ratio. Neither before the cap:
INCONCLUSIVE. The sampling unit is the request; :func:`unit_violation` checks
that picks do not repeat in blocks, for where they do nothing here holds.
There is no retry, and nothing here draws or waits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

ALPHA = 1e-6
"""The probability that a right mesh is failed, at most."""
BETA = 1e-3
"""The probability that a mesh off by delta is passed, at most."""
CAP_FACTOR = 20.0
"""The cap is this many times the mean size of a right mesh's sample."""
_EDGE = 1e-12

Decision = Literal["pass", "fail", "undecided", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitClaim:
    """The claim that answers come by ``shares`` (positive ones; they sum to 1), and how sharply to test it."""

    shares: Mapping[str, float]
    absent: frozenset[str] = frozenset()
    """Names of weight 0: one answer from any of them, or from an unnamed one, is a failure."""
    delta: float = 0.05
    """The smallest error of a share that must be found (0.05 = 5 percentage points)."""
    alpha: float = ALPHA
    beta: float = BETA

    @classmethod
    def of(cls, weights: Mapping[str, float], *, delta: float, alpha: float = ALPHA, beta: float = BETA) -> SplitClaim:
        """Make the claim of ``weights`` (any scale); ``delta`` is a share. Raises ValueError."""
        if not weights or any(not math.isfinite(weight) or weight < 0 for weight in weights.values()):
            raise ValueError(f"weights {dict(weights)!r}: each must be a number not below 0")
        total = math.fsum(weights.values())
        if total <= 0:
            raise ValueError(f"weights {dict(weights)!r}: one at least must be above 0")
        if not 0 < delta < 1:
            raise ValueError(f"delta {delta!r}: must lie between 0 and 1 (0.05 = 5 points)")
        if not (0 < alpha < 1 and 0 < beta < 1):
            raise ValueError(f"alpha {alpha!r}, beta {beta!r}: must lie between 0 and 1")
        shares = {name: weight / total for name, weight in weights.items() if weight > 0}
        absent = frozenset(name for name, weight in weights.items() if weight == 0)
        return cls(shares=shares, absent=absent, delta=delta, alpha=alpha, beta=beta)

    @property
    def variance(self) -> float:
        """The largest variance of one pick among the shares; 0 when one name takes all."""
        return max(share * (1 - share) for share in self.shares.values())

    @property
    def mean_size(self) -> int:
        """About how many requests a right mesh needs to pass (table of conformance-suites 2.3, within a tenth)."""
        if len(self.shares) == 1:
            return math.ceil(math.log(1 / self.beta) / -math.log1p(-self.delta))
        return math.ceil(3.1 * self.variance / self.delta**2 * math.log(1 / self.beta))

    @property
    def cap(self) -> int:
        """How many requests are drawn at most."""
        return math.ceil(CAP_FACTOR * self.mean_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the sample so far says of a claim."""

    decision: Decision
    requests: int
    log_e_value: float
    """Natural logarithm of the e-value; FAIL at -ln(alpha)."""
    reason: str
    """One line for a person."""

    @property
    def final(self) -> bool:
        """Whether drawing more changes nothing."""
        return self.decision != "undecided"


def judge(claim: SplitClaim, counts: Mapping[str, int], *, cap: int | None = None) -> Judgement:
    """Judge cumulative ``counts``; ``cap`` defaults to the claim's own."""
    requests = sum(counts.values())
    log_e = log_e_value(claim, counts)

    def give(decision: Decision, reason: str) -> Judgement:
        return Judgement(decision=decision, requests=requests, log_e_value=log_e, reason=reason)

    strangers = {name: count for name, count in counts.items() if count and name not in claim.shares}
    if strangers:
        said = ", ".join(f"{count} of {requests} came from {name!r}" for name, count in sorted(strangers.items()))
        return give("fail", f"{said}, whose share is 0")
    if log_e >= -math.log(claim.alpha):
        return give("fail", f"{_observed(claim, counts)}: e-value 10^{log_e / math.log(10):.1f}")
    if requests and _passes(claim, counts, requests):
        return give("pass", f"{_observed(claim, counts)}, each within {100 * claim.delta:g} points")
    if requests >= (claim.cap if cap is None else cap):
        return give("inconclusive", f"{_observed(claim, counts)}: undecided at the cap")
    return give("undecided", _observed(claim, counts))


def log_e_value(claim: SplitClaim, counts: Mapping[str, int]) -> float:
    """Give the logarithm of the Dirichlet-multinomial mixture against the claimed shares, centred on them."""
    if len(claim.shares) == 1:
        return 0.0
    concentration = max(claim.variance / claim.delta**2 - 1, 1.0)
    total = sum(counts.get(name, 0) for name in claim.shares)
    value = math.lgamma(concentration) - math.lgamma(concentration + total)
    for name, share in claim.shares.items():
        count = counts.get(name, 0)
        prior = concentration * share
        value += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return value


def interval(hits: int, requests: int, *, beta: float = BETA) -> tuple[float, float]:
    """Give the confidence sequence of one share at level 1 - ``beta``: it holds at every size of the sample at once.

    The shares whose likelihood a mixture with a Beta(1/2, 1/2) prior does not exceed ``1 / beta`` times.
    """
    if not requests:
        return 0.0, 1.0
    misses = requests - hits
    mixture = math.lgamma(hits + 0.5) + math.lgamma(misses + 0.5) - math.lgamma(requests + 1.0) - 2 * math.lgamma(0.5)

    def rejected(share: float) -> bool:
        likelihood = (hits * math.log(share) if hits else 0.0) + (misses * math.log1p(-share) if misses else 0.0)
        return mixture - likelihood > -math.log(beta)

    centre = min(max(hits / requests, _EDGE), 1 - _EDGE)
    low = _boundary(rejected, _EDGE, centre) if hits else 0.0
    high = _boundary(rejected, 1 - _EDGE, centre) if misses else 1.0
    return low, high


def _boundary(rejected: Callable[[float], bool], outside: float, inside: float) -> float:
    """Find by bisection where what is rejected begins, from ``inside``, which is not."""
    if not rejected(outside):
        return outside
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if rejected(middle) else (outside, middle)
    return inside


def _passes(claim: SplitClaim, counts: Mapping[str, int], requests: int) -> bool:
    limit = math.log(claim.beta)
    for name, share in claim.shares.items():
        count = counts.get(name, 0)
        if not count:
            return False
        for other in (share - claim.delta, share + claim.delta):
            if _log_ratio(count, requests - count, share, other) > limit:
                return False
    return True


def _log_ratio(hits: int, misses: int, share: float, other: float) -> float:
    """Give ln P(sample | other) / P(sample | share); ``other`` beyond 0 or 1 is held at it."""
    # One name takes all: an upper alternative does not exist.
    if share >= 1 and other >= 1:
        return -math.inf
    value = 0.0
    if hits:
        value += hits * (math.log(other) - math.log(share)) if other > 0 else -math.inf
    if misses:
        value += misses * (math.log1p(-other) - math.log1p(-share)) if other < 1 else -math.inf
    return value


def _observed(claim: SplitClaim, counts: Mapping[str, int]) -> str:
    requests = sum(counts.values())
    if not requests:
        return "no answer yet"
    parts = [
        f"{name} {100 * counts.get(name, 0) / requests:.2f} % (claimed {100 * share:g} %)"
        for name, share in claim.shares.items()
    ]
    return f"{', '.join(parts)} of {requests} requests"


# ------------------------------------------------------------ the sampling unit

UNIT_SIGMAS = 5.0
"""How far the number of switches may lie below its mean: a false alarm in 3.5 million samples."""
_MIN_EXPECTED_SWITCHES = 50.0
"""Below this the normal approximation is not to be trusted, and the check is silent."""

_SHOWING_SWITCHES = 90.0
"""From here on blocks of ten are found, however rare the changes are: by 5 standard deviations in 999 of 1,000 samples."""

Run = tuple[str, int]


def unit_violation(connections: Sequence[Sequence[Run]]) -> str:
    """Say how picks repeat in blocks along a connection; an empty string when they do not.

    ``connections`` holds each connection's run lengths in order of completion.
    One-sided: fewer repeats than chance (a deterministic round robin) is no fault.
    """
    seen = _Switches.of(connections)
    if seen.expected < _MIN_EXPECTED_SWITCHES or seen.variance <= 0:
        return ""
    sigmas = (seen.expected - seen.switches) / math.sqrt(seen.variance)
    if sigmas < UNIT_SIGMAS:
        return ""
    return (
        f"sampling unit violated: along a connection the answer changed {seen.switches} times in {seen.pairs} steps, "
        f"{seen.expected:.0f} are expected of independent picks ({sigmas:.1f} sigma): picks repeat in blocks"
    )


def unit_unknown(claim: SplitClaim, decision: Decision, connections: Sequence[Sequence[Run]]) -> str:
    """Say why nothing can be said of the sampling unit yet, for a decision that rests on it; else an empty string.

    Too few changes are to be expected where nearly every answer is the same. A pass waits for more of them. A failure
    stands without them where the first answer of each connection, which are independent picks whatever the unit is,
    already fails the claim.
    """
    if len(claim.shares) < 2 or not connections or unit_is_shown(connections):
        return ""
    firsts = Counter(runs[0][0] for runs in connections if runs)
    if decision == "fail" and judge(claim, firsts).decision == "fail":
        return ""
    return (
        f"the answer is nearly always the same, so that picks which repeat in blocks cannot be told from independent "
        f"ones, and the first answers of {sum(firsts.values())} connections decide nothing by themselves"
    )


def unit_is_shown(connections: Sequence[Sequence[Run]]) -> bool:
    """Whether so many changes of the answer are to be expected that blocks would show (:func:`unit_violation`)."""
    return _Switches.of(connections).expected >= _SHOWING_SWITCHES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Switches:
    """How often the answer changed along connections, and what independent picks of the same shares would do."""

    switches: int
    pairs: int
    expected: float
    variance: float

    @classmethod
    def of(cls, connections: Sequence[Sequence[Run]]) -> _Switches:
        merged = [_merge(runs) for runs in connections]
        totals: Counter[str] = Counter()
        for runs in merged:
            for name, length in runs:
                totals[name] += length
        size = sum(totals.values())
        lengths = [sum(length for _, length in runs) for runs in merged if runs]
        pairs = sum(length - 1 for length in lengths)
        triples = sum(max(length - 2, 0) for length in lengths)
        same = math.fsum((count / size) ** 2 for count in totals.values()) if size else 1.0
        cubes = math.fsum((count / size) ** 3 for count in totals.values()) if size else 1.0
        return cls(
            switches=sum(len(runs) - 1 for runs in merged if runs),
            pairs=pairs,
            expected=pairs * (1 - same),
            # Neighbouring pairs share a pick, so their covariance counts.
            variance=pairs * same * (1 - same) + 2 * triples * (cubes - same**2),
        )


def _merge(runs: Sequence[Run]) -> list[Run]:
    merged: list[Run] = []
    for name, length in runs:
        if merged and merged[-1][0] == name:
            merged[-1] = (name, merged[-1][1] + length)
        else:
            merged.append((name, length))
    return merged
