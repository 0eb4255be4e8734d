"""The verdict for a terminal: one line per feature below its profile. Pure; colour is the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pytest_mesh.contracts import Evidence, Implementation
from pytest_mesh.hooks import FeatureData
from pytest_mesh.report.model import Spent, by_feature, claims, standing

Tone = Literal["good", "bad", "unsure", "plain"]
Line = tuple[str, Tone]

_TONES: dict[str, Tone] = {"supported": "good", "failed": "bad", "unproven": "unsure", "unsupported": "plain"}


def lines(evidence: Sequence[Evidence], features: Sequence[FeatureData], implementation: Implementation) -> list[Line]:
    """Give the table; features of which nothing was claimed and nothing ran are left out."""
    grouped = by_feature(evidence)
    width = max((len(one.id) for one in features), default=0)
    table: list[Line] = []
    for profile in sorted({one.profile for one in features}):
        rows: list[Line] = []
        supported = total = 0
        failed = False
        for feature in sorted((one for one in features if one.profile == profile), key=_order):
            checks = grouped.get(feature.id, [])
            claimed = claims(implementation, feature.id)
            if not checks and not claimed:
                continue
            word = standing(checks, claimed=claimed)
            total += 1
            supported += word == "supported"
            failed |= word == "failed" and feature.level != "provisional"
            rows.append((f"  {feature.id:<{width}}  {feature.level:<11}  {word:<11}  {_checks(checks)}", _TONES[word]))
        tone: Tone = "good" if supported == total else "bad" if failed else "unsure"
        if rows:
            table += [(f"{profile}: {supported} of {total} features supported", tone), *rows]
    return table


def totals(evidence: Sequence[Evidence], spent: Spent) -> str:
    """Give one line: how many checks ended how, and the alpha that the run spent on sampling claims."""
    counts: dict[str, int] = {}
    for one in evidence:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    order = ("passed", "failed", "inconclusive", "infrastructure", "not-applicable", "skipped", "waived")
    said = ", ".join(f"{counts[word]} {word}" for word in order if word in counts)
    return f"{len(evidence)} checks: {said}{f'; {spent}' if spent.claims else ''}"


def provisional_failures(evidence: Sequence[Evidence], features: Sequence[FeatureData]) -> list[str]:
    """Name the checks of provisional features that failed: the run ends with 1, and no profile's result counts them."""
    provisional = {one.id for one in features if one.level == "provisional"}
    return sorted(one.check for one in evidence if one.outcome == "failed" and one.feature in provisional)


def proven(evidence: Sequence[Evidence], features: Sequence[FeatureData]) -> list[str]:
    """Name the features of which every check ran and passed: what a file that claims nothing may claim."""
    grouped = by_feature(evidence)
    return sorted(one.id for one in features if standing(grouped.get(one.id, ()), claimed=False) == "supported")


def _order(feature: FeatureData) -> tuple[int, str]:
    return {"core": 0, "extended": 1}.get(feature.level, 2), feature.id


def _checks(checks: Sequence[Evidence]) -> str:
    if not checks:
        return "no check ran"
    passed = sum(one.outcome == "passed" for one in checks)
    text = f"{passed}/{len(checks)} checks"
    deltas = sorted({float(one.facts["delta"]) for one in checks if "delta" in one.facts and one.outcome == "passed"})
    if deltas:
        text += f" (delta {', '.join(f'{100 * delta:g}' for delta in deltas)} points)"
    others = [one for one in checks if one.outcome != "passed"]
    if others:
        text += f": {others[0].outcome}: {_short(others[0].message)}"
    return text


def _short(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= 100 else first[:97] + "..."
