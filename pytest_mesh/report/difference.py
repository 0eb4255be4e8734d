"""What became worse from one report to the next: features, checks, the claims behind them, convergence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pytest_mesh.contracts import Json

SLOWER: Final = 1.5
"""Default factor by which waiting for configuration may grow before it is called slower."""
_SLOWER_SECONDS: Final = 0.1
"""And what it must grow by at least: a run on another day differs by this much."""
_FEW: Final = 5
"""Waits that two reports must share before their middle says anything."""
_UNPROVEN: Final = frozenset({"inconclusive", "infrastructure"})
_NOT_RUN: Final = frozenset({"skipped", "not-applicable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference; ``regression`` when it is for the worse."""

    kind: str
    subject: str
    text: str
    regression: bool

    def to_json(self) -> Json:
        """Give it for ``-o json``."""
        return {"kind": self.kind, "subject": self.subject, "text": self.text, "regression": self.regression}


def differences(before: Json, after: Json, *, slower: float = SLOWER) -> list[Difference]:
    """Compare two reports that hold together; regressions first, each group in the order of its subjects."""
    found = [
        *_who(before, after),
        *_features(before, after),
        *_checks(before, after),
        *_convergence(before, after, slower),
    ]
    return sorted(found, key=lambda one: (not one.regression, one.kind, one.subject))


def _who(before: Json, after: Json) -> Iterator[Difference]:
    for key in ("project", "version"):
        old, new = before["implementation"][key], after["implementation"][key]
        if old != new:
            yield Difference(kind="implementation", subject=key, text=f"{old} -> {new}", regression=False)


def _features(before: Json, after: Json) -> Iterator[Difference]:
    old, new = _supported(before), _supported(after)
    for name in old - new:
        yield Difference(kind="feature lost", subject=name, text="was supported", regression=True)
    for name in new - old:
        yield Difference(kind="feature gained", subject=name, text="is supported", regression=False)


def _supported(report: Json) -> set[str]:
    return {
        name
        for profile in report["profiles"]
        for level in ("core", "extended")
        for name in (profile.get(level) or {}).get("supportedFeatures", ())
    }


def _checks(before: Json, after: Json) -> Iterator[Difference]:
    old = {one["id"]: one for one in before["tests"]}
    new = {one["id"]: one for one in after["tests"]}
    for name, was in old.items():
        if name not in new:
            yield Difference(kind="check gone", subject=name, text=f"was {was['verdict']}", regression=True)
    for name, one in new.items():
        first = old.get(name)
        verdict = one["verdict"]
        if first is None:
            failed = verdict == "failed"
            kind = "new failure" if failed else "check added"
            yield Difference(kind=kind, subject=name, text=_said(one), regression=failed)
        elif first["verdict"] != verdict:
            yield _turned(first, one)
        elif verdict == "passed":
            yield from _claims(first, one)


def _turned(first: Json, one: Json) -> Difference:
    was, verdict = first["verdict"], one["verdict"]
    text = f"{was} -> {_said(one)}"
    if verdict == "failed":
        kind, worse = "new failure", True
    elif was == "passed" and verdict in _UNPROVEN:
        kind, worse = "no longer proven", True
    elif was == "passed" and verdict in _NOT_RUN:
        kind, worse = "no longer run", True
    elif verdict == "waived":
        kind, worse = "waived", was == "passed"
    else:
        kind, worse = ("mended" if verdict == "passed" else "changed"), False
    return Difference(kind=kind, subject=one["id"], text=text, regression=worse)


def _claims(first: Json, one: Json) -> Iterator[Difference]:
    """A split that is claimed more loosely proves less, though it passed both times."""
    for key, less in (("delta", "error of a share that is found"), ("alpha", "chance of a false failure")):
        old, new = first["evidence"].get(key), one["evidence"].get(key)
        if isinstance(old, (int, float)) and isinstance(new, (int, float)) and new > old:
            text = f"{key} ({less}) {old:g} -> {new:g}"
            yield Difference(kind="weaker claim", subject=one["id"], text=text, regression=True)


def _convergence(before: Json, after: Json, slower: float) -> Iterator[Difference]:
    budgets = [one["implementation"].get("convergenceSeconds") for one in (before, after)]
    if all(isinstance(one, (int, float)) for one in budgets) and budgets[1] > budgets[0]:
        text = f"{budgets[0]:g} s -> {budgets[1]:g} s"
        yield Difference(kind="slower convergence", subject="declared budget", text=text, regression=True)
    old, new = _waits(before), _waits(after)
    shared = sorted(old.keys() & new.keys())
    if len(shared) < _FEW:
        return
    for name, of in (("median", median), ("longest", max)):
        was, now = of([old[one] for one in shared]), of([new[one] for one in shared])
        if now > was * slower and now > was + _SLOWER_SECONDS:
            text = f"{was:.2f} s -> {now:.2f} s over {len(shared)} checks"
            yield Difference(kind="slower convergence", subject=name, text=text, regression=True)


def _waits(report: Json) -> dict[str, float]:
    """Give how long each check waited for its configuration to reach the proxies, in seconds."""
    waits = {one["id"]: one["evidence"].get("gateSeconds") for one in report["tests"]}
    return {name: float(seconds) for name, seconds in waits.items() if isinstance(seconds, (int, float))}


def _said(one: Json) -> str:
    message = next((line for line in str(one.get("message", "")).splitlines() if line.strip()), "")
    return f"{one['verdict']}{f': {message[:200]}' if message else ''}"


def regressions(found: Sequence[Difference]) -> list[Difference]:
    """Give those that are for the worse."""
    return [one for one in found if one.regression]
