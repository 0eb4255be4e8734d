"""Whether an observation is among the allowed outcomes, and how the nearest differs. It samples nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_mesh.contracts import Observation
from pytest_mesh.oracle.outcomes import Outcome, Prediction
from pytest_mesh.oracle.requests import joined

_EARLY_SECONDS = 0.005
"""By so much a timer may fire before its time as another clock sees it: proxies round to milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Of one observation: ``differences`` from the nearest outcome; none = allowed."""

    outcome: Outcome
    differences: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.differences


def judge(prediction: Prediction, observation: Observation) -> Verdict:
    """Find the outcome that was observed, or the nearest one and how it differs."""
    verdicts = [Verdict(outcome=one, differences=tuple(_differences(one, observation))) for one in prediction.outcomes]
    return min(verdicts, key=lambda one: len(one.differences))


def _differences(outcome: Outcome, observation: Observation) -> Iterator[str]:
    if outcome.by == "outside":
        return
    if outcome.by == "proxy" and not outcome.status:
        if observation.status:
            yield f"status {observation.status}, {outcome} is allowed"
        return
    if not observation.status:
        yield f"no answer ({observation.failure}: {observation.detail}), {outcome} is allowed"
        return
    if observation.status != outcome.status:
        yield f"status {observation.status}, {outcome.status} is allowed"
    echo = observation.echo
    if (outcome.by == "workload") != (echo is not None):
        who = echo.pod if echo else "a proxy"
        yield f"the answer is from {who}, {outcome.by} is wanted"
    elif echo is not None:
        if not any(
            echo.namespace == one.namespace and echo.pod.startswith(one.name) and echo.version == one.version
            for one in outcome.workloads
        ):
            yield f"{echo.pod} answered, {' or '.join(one.name for one in outcome.workloads)} is allowed"
        for name, seen, wanted in (
            ("method", echo.method, outcome.method),
            ("path", echo.path, outcome.path),
            ("Host", echo.host, outcome.authority),
        ):
            if seen != wanted:
                yield f"the workload saw {name} {seen}, {wanted} is allowed"
        yield from _headers("the workload saw header", outcome.request_headers, echo.headers)
    yield from _headers("the answer has header", outcome.response_headers, observation.headers)
    if outcome.location is not None and (found := joined(observation.headers, "location")) != outcome.location:
        yield f"Location is {found}, {outcome.location} is allowed"
    if outcome.body is not None and echo is None and observation.body != outcome.body:
        yield f"the body is {observation.body[:80]!r}, {outcome.body[:80]!r} is allowed"
    if observation.seconds < outcome.delay - _EARLY_SECONDS:
        yield f"it took {observation.seconds:.3f} s, at least {outcome.delay:g} s are allowed"


def _headers(what: str, wanted: Mapping[str, str | None], headers: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, value in wanted.items():
        found = joined(headers, name)
        if found is not None:
            found = ",".join(part.strip() for part in found.split(","))
        if found != value:
            yield f"{what} {name}: {found or 'absent'}, {value or 'absent'} is allowed"
