"""From the outcomes of checks to one exit code. Pure.

1 (something failed) > 11 (a waiver is stale) > 10 (environment, infrastructure
or inconclusive only); pytest's own 2 to 5 stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_mesh.contracts import Evidence, Outcome
from pytest_mesh.failures import Inconclusive, Infrastructure
from pytest_mesh.kube import KubeError

FAILED = 1
STALE_WAIVER = 11
UNPROVEN = 10

EXECUTED: frozenset[Outcome] = frozenset({"passed", "failed", "inconclusive", "infrastructure"})
"""Outcomes of checks that ran at all."""


def outcome_of(error: BaseException) -> Outcome:
    """Give the outcome that an exception of a check means."""
    if isinstance(error, Inconclusive):
        return "inconclusive"
    if isinstance(error, Infrastructure) or (isinstance(error, KubeError) and error.status >= 500):
        return "infrastructure"
    if isinstance(error, BaseExceptionGroup):
        kinds = {outcome_of(one) for one in error.exceptions}
        return kinds.pop() if len(kinds) == 1 else "failed"
    return "failed"


def exit_code(
    own: int,
    *,
    failures: int,
    unproven: int,
    suite: Sequence[Evidence] | None,
    stale_waivers: int = 0,
) -> int:
    """Give the run's exit code.

    Args:
        own: pytest's exit code.
        failures: failed reports that blame the mesh, a test or anything else than the environment.
        unproven: failed reports that are inconclusive or infrastructure.
        suite: evidence of the suite's checks; None when the run is no suite's.
        stale_waivers: waived checks that passed, or waivers out of date.
    """
    if own not in {0, 1}:
        return own
    if failures or (own == 1 and not unproven):
        return FAILED
    if stale_waivers:
        return STALE_WAIVER
    if unproven:
        return UNPROVEN
    if suite is not None and not any(one.outcome in {"passed", "failed"} for one in suite):
        return UNPROVEN
    return own
