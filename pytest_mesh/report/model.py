"""The ConformanceReport: Gateway API's fields and names, and evidence per check. Pure; the same input gives the same text.

A feature is supported only when every check of it ran and passed. Whatever was
claimed and not proven is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_mesh.contracts import Evidence, Implementation, Json, Outcome
from pytest_mesh.hooks import FeatureData

API_VERSION = "conformance.pytest-mesh.dev/v1alpha1"
Standing = Literal["supported", "failed", "unproven", "unsupported"]
Claims = Callable[[str], bool]
"""Whether a feature was declared."""

_SKIPPED: frozenset[Outcome] = frozenset({"skipped", "not-applicable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a run's sampling claims may cost: ``alpha`` is the chance that any of them fails a mesh that is right."""

    claims: int
    alpha: float

    def __str__(self) -> str:
        return f"alpha over {self.claims} sampling claims {self.alpha:.2g}"


def spent(facts: Iterable[Mapping[str, Any]]) -> Spent:
    """Add up the claims of checks, from each one's evidence. Evidence with an ``alpha`` that is no number is no claim."""
    found = [one for one in facts if type(one.get("alpha")) in {int, float}]
    return Spent(
        claims=sum(int(one.get("claims", 1)) for one in found), alpha=math.fsum(float(one["alpha"]) for one in found)
    )


def standing(evidence: Sequence[Evidence], *, claimed: bool) -> Standing:
    """Say how a feature stands after its checks."""
    outcomes = {one.outcome for one in evidence}
    if "failed" in outcomes:
        return "failed"
    if outcomes == {"passed"}:
        return "supported"
    return "unproven" if claimed else "unsupported"


def by_feature(evidence: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    """Group evidence by feature, in the order of the checks' names."""
    grouped: dict[str, list[Evidence]] = {}
    for one in sorted(evidence, key=lambda item: item.check):
        grouped.setdefault(one.feature, []).append(one)
    return grouped


def build(
    evidence: Sequence[Evidence],
    features: Sequence[FeatureData],
    *,
    implementation: Implementation,
    suite: Mapping[str, Any],
    environment: Mapping[str, Any],
    date: str,
    exit_code: int,
) -> Json:
    """Give the report as JSON; ``date`` is RFC 3339, ``exit_code`` the run's."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ConformanceReport",
        "date": date,
        "mode": "default",
        "exitCode": exit_code,
        "implementation": {
            "organization": implementation.organization,
            "project": implementation.project or implementation.name,
            "url": implementation.url,
            "version": implementation.version,
            "contact": list(implementation.contact),
            **({"revision": implementation.revision} if implementation.revision else {}),
            "convergenceSeconds": implementation.convergence_seconds,
        },
        "suite": {**suite, **sums(one.facts for one in evidence)},
        "environment": dict(environment),
        **judged(evidence, features, implementation.claims),
    }


def sums(facts: Iterable[Mapping[str, Any]]) -> Json:
    """Give what ``suite`` says of all checks together."""
    total = spent(facts)
    return {"claims": total.claims, "alpha": total.alpha}


def judged(evidence: Sequence[Evidence], features: Sequence[FeatureData], claimed: Claims) -> Json:
    """Give the part of a report that follows from its checks: profiles, provisional tests, tests."""
    known = {feature.id: feature for feature in features}
    grouped = by_feature(evidence)
    return {
        "profiles": [
            _profile(name, [one for one in features if one.profile == name], grouped, claimed)
            for name in sorted({feature.profile for feature in features})
        ],
        "succeededProvisionalTests": sorted(
            one.check
            for one in evidence
            if one.outcome == "passed" and known.get(one.feature) and known[one.feature].level == "provisional"
        ),
        "tests": [_test(one, known.get(one.feature)) for one in sorted(evidence, key=lambda item: item.check)],
    }


def claims(implementation: Implementation, feature: str) -> bool:
    """Whether the implementation's file declares a feature."""
    return implementation.claims(feature)


def _profile(
    name: str,
    features: Sequence[FeatureData],
    grouped: Mapping[str, Sequence[Evidence]],
    claimed: Claims,
) -> Json:
    found = [one for feature in features for one in grouped.get(feature.id, ())]
    profile: Json = {"name": name, "summary": _summary(found)}
    for level in ("core", "extended"):
        of_level = sorted((one for one in features if one.level == level), key=lambda one: one.id)
        checks = [one for feature in of_level for one in grouped.get(feature.id, ())]
        if level == "extended" and not checks:
            continue
        profile[level] = _level(of_level, checks, grouped, claimed)
    provisional = {one.id for one in features if one.level == "provisional"}
    tried = [one for one in found if one.feature in provisional]
    if tried:
        profile["provisional"] = {"failedTests": sorted(one.check for one in tried if one.outcome == "failed")}
    profile["inconclusiveTests"] = sorted(
        one.check for one in found if one.outcome in {"inconclusive", "infrastructure"}
    )
    profile["waivedTests"] = [
        {"id": one.check, "reason": one.message, **one.facts.get("waiver", {})}
        for one in sorted(found, key=lambda x: x.check)
        if one.outcome == "waived"
    ]
    return profile


def _level(
    features: Sequence[FeatureData],
    checks: Sequence[Evidence],
    grouped: Mapping[str, Sequence[Evidence]],
    claimed: Claims,
) -> Json:
    standings = {one.id: standing(grouped.get(one.id, ()), claimed=claimed(one.id)) for one in features}
    failed = sorted(one.check for one in checks if one.outcome == "failed")
    skipped = sorted(one.check for one in checks if one.outcome in _SKIPPED)
    unproven = sorted(name for name, word in standings.items() if word == "unproven")
    complete = not skipped and not unproven and all(one.outcome == "passed" for one in checks)
    return {
        "result": "failure" if failed else "success" if complete else "partial",
        "statistics": {
            "Passed": sum(one.outcome == "passed" for one in checks),
            "Skipped": len(skipped),
            "Failed": len(failed),
        },
        "skippedTests": skipped,
        "failedTests": failed,
        "supportedFeatures": sorted(name for name, word in standings.items() if word == "supported"),
        "unsupportedFeatures": sorted(name for name, word in standings.items() if word == "unsupported"),
        "unprovenFeatures": unproven,
    }


def _summary(found: Sequence[Evidence]) -> str:
    counts: dict[str, int] = {}
    for one in found:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
    return said or "no check ran"


def _test(one: Evidence, feature: FeatureData | None) -> Json:
    test: Json = {
        "id": one.check,
        "profile": feature.profile if feature else "",
        "level": feature.level if feature else "",
        "feature": one.feature,
        "verdict": one.outcome,
        "seconds": round(one.seconds, 3),
        "evidence": dict(one.facts),
    }
    if one.message:
        test["message"] = one.message
    if one.bundle:
        test["bundle"] = one.bundle
    return test
