"""Puts the reports of one run's shards together: one verdict, as if nothing had been divided. Pure.

Nothing is merged that does not belong together, and no shard may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_mesh.contracts import Evidence, Json
from pytest_mesh.report.model import judged, sums

_EXIT_CODES: Final = (2, 3, 4, 1, 11, 10)
"""By priority: a shard that was interrupted or broke down has no whole verdict."""
_NO_TESTS: Final = 5
_OF_ONE_SHARD: Final = frozenset({"shard", "claims", "alpha"})
"""What ``suite`` says that each shard has for itself."""
_LEFT_OUT: Final = {"hypothesisProfile": "ci"}
"""What a report that does not say it means."""


class MergeError(ValueError):
    """Reports that are not the shards of one run; one line per reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Feature:
    id: str
    profile: str
    level: str


def merge(reports: Sequence[Json]) -> Json:
    """Give one report for all; raises ``MergeError``. Every report must hold together (``verification``)."""
    problems = list(_problems(reports))
    if problems:
        raise MergeError("\n".join(problems))
    claimed = {name for report in reports for part in _levels(report) for name in part["unprovenFeatures"]}
    first = reports[0]
    suite = {key: value for key, value in first["suite"].items() if key not in _OF_ONE_SHARD}
    evidence = [_evidence(one) for report in reports for one in report["tests"]]
    return {
        **{key: first[key] for key in ("apiVersion", "kind")},
        "date": max(report["date"] for report in reports),
        "mode": first["mode"],
        "exitCode": _exit_code([report["exitCode"] for report in reports]),
        "implementation": first["implementation"],
        "suite": {**suite, **sums(one.facts for one in evidence)},
        "environment": first["environment"],
        **judged(evidence, _features_of(reports), claimed.__contains__),
    }


def _problems(reports: Sequence[Json]) -> Iterator[str]:
    if not reports:
        yield "no report was given"
        return
    first = reports[0]
    for number, report in enumerate(reports[1:], start=2):
        for key in ("apiVersion", "mode", "implementation"):
            if report[key] != first[key]:
                yield f"report {number}: {key} is {report[key]}, the first report's is {first[key]}"
        for key in sorted((first["suite"].keys() | report["suite"].keys()) - _OF_ONE_SHARD):
            old, new = (one["suite"].get(key, _LEFT_OUT.get(key)) for one in (first, report))
            if old != new:
                yield f"report {number}: suite.{key} is {new}, the first report's is {old}"
        for key in ("provider", "kubernetes", "dataplane"):
            old, new = first["environment"].get(key), report["environment"].get(key)
            if old != new:
                yield f"report {number}: environment.{key} is {new}, the first report's is {old}"
    seen: dict[str, int] = {}
    for number, report in enumerate(reports, start=1):
        for one in report["tests"]:
            if one["id"] in seen:
                yield f"report {number}: {one['id']} is in report {seen[one['id']]} too"
            seen.setdefault(one["id"], number)
    yield from _missing_shards(reports)


def _missing_shards(reports: Sequence[Json]) -> Iterator[str]:
    shards = [str(report["suite"].get("shard", "")) for report in reports]
    if not any(shards):
        return
    totals = {shard.partition("/")[2] for shard in shards}
    if len(totals) != 1 or not (total := totals.pop()).isdigit():
        yield f"the reports are shards {', '.join(shard or 'of nothing' for shard in shards)}: not of one run"
        return
    wanted = [f"{number}/{total}" for number in range(1, int(total) + 1)]
    missing = [shard for shard in wanted if shard not in shards]
    if missing:
        yield f"shard {', '.join(missing)} is missing"
    for shard in sorted({one for one in shards if shards.count(one) > 1}):
        yield f"shard {shard} is given {shards.count(shard)} times"


def _levels(report: Json) -> Iterator[Json]:
    for profile in report["profiles"]:
        for level in ("core", "extended"):
            if level in profile:
                yield profile[level]


def _features_of(reports: Sequence[Json]) -> list[_Feature]:
    """Give every feature that a report names: by its checks, or in a profile's lists without any."""
    found: dict[str, _Feature] = {}
    for report in reports:
        for profile in report["profiles"]:
            for level in ("core", "extended"):
                part = profile.get(level) or {}
                for key in ("supportedFeatures", "unsupportedFeatures", "unprovenFeatures"):
                    for name in part.get(key, ()):
                        found[name] = _Feature(id=name, profile=profile["name"], level=level)
        for one in report["tests"]:
            if one["feature"]:
                found[one["feature"]] = _Feature(id=one["feature"], profile=one["profile"], level=one["level"])
    return [found[name] for name in sorted(found)]


def _evidence(test: Json) -> Evidence:
    return Evidence(
        check=test["id"],
        feature=test["feature"],
        outcome=test["verdict"],
        seconds=test["seconds"],
        facts=test["evidence"],
        message=test.get("message", ""),
        bundle=test.get("bundle", ""),
    )


def _exit_code(codes: Sequence[int]) -> int:
    """Combine the shards' exit codes; a shard to which no test fell has nothing to say."""
    for code in _EXIT_CODES:
        if code in codes:
            return code
    return _NO_TESTS if all(code == _NO_TESTS for code in codes) else 0
