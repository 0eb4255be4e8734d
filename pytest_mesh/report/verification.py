"""Checks a ConformanceReport against itself: what it sums up must follow from its checks. Pure.

It cannot know whether the checks told the truth; it finds reports that were
edited, cut or written by something with a fault in its sums.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from pytest_mesh.contracts import Json, Outcome
from pytest_mesh.report.model import API_VERSION, sums

_ROUNDED = 1e-12
"""What a sum may lose on its way through YAML."""
_REQUIRED = ("organization", "project", "url", "version", "contact")
_OUTCOMES = frozenset(get_args(Outcome))
_SKIPPED = frozenset({"skipped", "not-applicable"})
_UNPROVEN = frozenset({"inconclusive", "infrastructure"})


def problems(report: Any, *, described: bool = True) -> list[str]:
    """Give what is wrong, one line each; an empty list for a report that holds together.

    ``described`` asks too that the implementation says who makes it, as a report that is published must.
    """
    if not isinstance(report, dict):
        return ["the document is no mapping"]
    try:
        return list(_problems(report, described))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return [f"the report has not the shape of {API_VERSION}: {type(error).__name__}: {error}"]


def _problems(report: Json, described: bool) -> Iterator[str]:
    if report.get("apiVersion") != API_VERSION or report.get("kind") != "ConformanceReport":
        yield f"apiVersion, kind: not a ConformanceReport of {API_VERSION}"
        return
    for key in _REQUIRED if described else ():
        if not report["implementation"].get(key):
            yield f"implementation.{key}: is required"
    tests: list[Json] = report["tests"]
    names = [one["id"] for one in tests]
    if names != sorted(names):
        yield "tests: not in the order of their ids"
    for name, number in Counter(names).items():
        if number > 1:
            yield f"tests: {name} is listed {number} times"
    profiles = [one["name"] for one in report["profiles"]]
    if profiles != sorted(set(profiles)):
        yield "profiles: not in order, or one is listed twice"
    for one in tests:
        if one["verdict"] not in _OUTCOMES:
            yield f"{one['id']}: verdict {one['verdict']!r} is not known"
        if one["feature"] and one["profile"] not in profiles:
            yield f"{one['id']}: its profile {one['profile']!r} is not in the report"
        if one["verdict"] == "passed" and one["evidence"].get("rerun"):
            yield f"{one['id']}: was rerun and counts as passed"
    for profile in report["profiles"]:
        found = [one for one in tests if one["profile"] == profile["name"]]
        yield from _profile_problems(profile, found)
    yield from _sum_problems(report["suite"], tests)
    yield from _exit_problems(report, tests)


def _sum_problems(suite: Json, tests: list[Json]) -> Iterator[str]:
    """A report that an earlier version wrote has no sums."""
    for key, wanted in sums(one["evidence"] for one in tests).items():
        if key in suite and not math.isclose(suite[key], wanted, abs_tol=_ROUNDED):
            yield f"suite.{key}: is {suite[key]}, the checks say {wanted}"


def _profile_problems(profile: Json, tests: list[Json]) -> Iterator[str]:
    name = profile["name"]
    counted = 0
    for level in ("core", "extended"):
        of_level = [one for one in tests if one["level"] == level]
        part = profile.get(level)
        if part is None:
            if of_level:
                yield f"{name}.{level}: is missing, {len(of_level)} checks are of it"
            continue
        counted += sum(part["statistics"].values())
        yield from _level_problems(f"{name}.{level}", part, of_level)
    if (part := profile.get("provisional")) is not None:  # an earlier version's report has none
        failed = sorted(one["id"] for one in tests if one["level"] == "provisional" and one["verdict"] == "failed")
        if part["failedTests"] != failed:
            yield f"{name}.provisional.failedTests: is {part['failedTests']}, the checks say {failed}"
    unproven = sorted(one["id"] for one in tests if one["verdict"] in _UNPROVEN)
    if profile["inconclusiveTests"] != unproven:
        yield f"{name}.inconclusiveTests: is {profile['inconclusiveTests']}, the checks say {unproven}"
    waived = sorted(one["id"] for one in tests if one["verdict"] == "waived")
    if [one["id"] for one in profile["waivedTests"]] != waived:
        yield f"{name}.waivedTests: the checks say {waived}"
    leveled = [one for one in tests if one["level"] in {"core", "extended"}]
    expected = sum(one["verdict"] not in {*_UNPROVEN, "waived"} for one in leveled)
    if counted != expected:
        yield f"{name}: statistics count {counted} checks, there are {expected}"


def _level_problems(where: str, part: Json, tests: list[Json]) -> Iterator[str]:
    verdicts = Counter(one["verdict"] for one in tests)
    counted = {
        "Passed": verdicts["passed"],
        "Skipped": sum(verdicts[word] for word in _SKIPPED),
        "Failed": verdicts["failed"],
    }
    if part["statistics"] != counted:
        yield f"{where}.statistics: is {part['statistics']}, the checks say {counted}"
    for key, words in (("failedTests", {"failed"}), ("skippedTests", _SKIPPED)):
        listed = sorted(one["id"] for one in tests if one["verdict"] in words)
        if part[key] != listed:
            yield f"{where}.{key}: is {part[key]}, the checks say {listed}"
    by_feature: dict[str, set[str]] = {}
    for one in tests:
        by_feature.setdefault(one["feature"], set()).add(one["verdict"])
    for feature in part["supportedFeatures"]:
        if by_feature.get(feature) != {"passed"}:
            said = ", ".join(sorted(by_feature.get(feature, ()))) or "no check"
            yield f"{where}.supportedFeatures: {feature} is not proven ({said})"
    for feature, words in by_feature.items():
        if words == {"passed"} and feature not in part["supportedFeatures"]:
            yield f"{where}.supportedFeatures: {feature} is proven and left out"
    lists = Counter(
        feature for key in ("supportedFeatures", "unsupportedFeatures", "unprovenFeatures") for feature in part[key]
    )
    for feature, number in lists.items():
        if number > 1:
            yield f"{where}: {feature} stands in {number} lists"
    complete = bool(tests) and set(verdicts) == {"passed"} and not part["unprovenFeatures"]
    allowed = {"failure"} if verdicts["failed"] else {"success"} if complete else {"partial"}
    if not tests and not part["unprovenFeatures"]:
        allowed = {"success", "partial"}
    if part["result"] not in allowed:
        yield f"{where}.result: is {part['result']!r}, the checks say {' or '.join(sorted(allowed))!r}"


def _exit_problems(report: Json, tests: list[Json]) -> Iterator[str]:
    code = report["exitCode"]
    verdicts = {one["verdict"] for one in tests}
    if code == 0 and verdicts & {"failed", *_UNPROVEN}:
        yield f"exitCode: is 0, and checks are {', '.join(sorted(verdicts & {'failed', *_UNPROVEN}))}"
    if "failed" in verdicts and code in {10, 11}:
        yield f"exitCode: is {code}, and checks failed"
