"""A ConformanceReport as one HTML page that needs nothing else: no network, no other file.

``facts`` is pure; ``render`` fills the template. Text of the report is text on
the page whatever it holds: the template escapes, and control characters are shown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.report import plots
from pytest_mesh.report.model import spent
from pytest_mesh.report.redaction import redact_text

_FILE_CHARACTERS = 40_000
"""How much of one file of a failure's evidence is put on the page; the end counts more than the beginning."""
_SHOWN_FILES = ("failure.txt", "explanation.txt", "applied.yaml", "events.txt", "transcript.jsonl")
_SHOWN_SUFFIXES = ("-config-diff.txt",)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STANDINGS = (
    ("supportedFeatures", "supported"),
    ("unprovenFeatures", "unproven"),
    ("unsupportedFeatures", "unsupported"),
)

Files = Callable[[str], Mapping[str, str]]
"""From a bundle's path as the report names it to its files' text by name."""


def no_files(bundle: str) -> Mapping[str, str]:
    """Give no evidence files: for a report that is far from its artefacts."""
    del bundle
    return {}


def read_files(directory: Path) -> Files:
    """Give what reads bundles from disk; a relative path is looked for below ``directory``."""

    def read(bundle: str) -> Mapping[str, str]:
        below = directory / bundle
        found = {}
        for path in sorted(below.rglob("*")) if below.is_dir() else ():
            if path.is_file() and (path.name in _SHOWN_FILES or path.name.endswith(_SHOWN_SUFFIXES)):
                text = path.read_text(errors="replace")
                if len(text) > _FILE_CHARACTERS:
                    text = f"… {len(text) - _FILE_CHARACTERS} characters before this\n{text[-_FILE_CHARACTERS:]}"
                found[str(path.relative_to(below))] = redact_text(text)
        return found

    return read


def render(report: Json, read: Files = no_files) -> str:
    """Give the page of a report that holds together (``verification.problems``)."""
    here = files("pytest_mesh.report")
    page: str = _template().render(
        **facts(report, read), style=(here / "page.css").read_text(), script=(here / "page.js").read_text()
    )
    return page


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["shown"] = shown
    return environment.from_string((files("pytest_mesh.report") / "page.html.j2").read_text())


def shown(value: object) -> str:
    """Give text in which every control character can be seen."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(value))


def facts(report: Json, read: Files = no_files) -> dict[str, Any]:
    """Give what the template shows."""
    drawn = _drawn(report["suite"])
    tests = [{**_check(one, read, drawn), "anchor": f"check-{number}"} for number, one in enumerate(report["tests"])]
    verdicts = {one["verdict"] for one in tests}
    total = spent(one["evidence"] for one in report["tests"])
    pushes = [
        (one["id"], float(one["evidence"]["gateSeconds"]))
        for one in report["tests"]
        if "gateSeconds" in one["evidence"]
    ]
    budget = float(report["implementation"].get("convergenceSeconds", 0))
    return {
        "report": report,
        "word": "failed" if report["exitCode"] == 1 else "passed" if report["exitCode"] == 0 else "unproven",
        "tests": tests,
        "counts": {word: sum(one["verdict"] == word for one in tests) for word in sorted(verdicts)},
        "alpha": total.alpha,
        "claims": total.claims,
        "profiles": [_profile(profile, tests) for profile in report["profiles"]],
        "waits": plots.waits(pushes, budget),
        "budget": f"{budget:g}",
        "environment": dict(_flat(report["environment"])),
    }


def _profile(profile: Json, tests: list[Json]) -> Json:
    features = []
    for level in ("core", "extended"):
        part = profile.get(level) or {}
        for key, word in _STANDINGS:
            features += [{"id": name, "level": level, "standing": word} for name in part.get(key, ())]
    listed = {one["id"] for one in features}
    mine = [one for one in tests if one["profile"] == profile["name"]]
    for one in mine:
        if one["feature"] not in listed:
            listed.add(one["feature"])
            failed = any(test["verdict"] == "failed" for test in mine if test["feature"] == one["feature"])
            standing = "failed" if failed else one["level"]
            features.append({"id": one["feature"], "level": one["level"], "standing": standing})
    for feature in features:
        feature["tests"] = [one for one in mine if one["feature"] == feature["id"]]
    order = {"failed": 0, "unproven": 1}
    return {
        **profile,
        "features": sorted(features, key=lambda one: (order.get(one["standing"], 2), one["id"])),
        "supported": sum(one["standing"] == "supported" for one in features),
    }


def _check(one: Json, read: Files, drawn: str) -> Json:
    evidence = one["evidence"]
    timeline = evidence.get("timeline")
    return {
        **one,
        "rows": [(key, value) for key, value in _flat(evidence) if not key.startswith("timeline")],
        "split": plots.split(evidence),
        "timeline": plots.timeline(timeline) if isinstance(timeline, list) else "",
        "files": read(one["bundle"]) if one.get("bundle") else {},
        "message": one.get("message", ""),
        "again": f"{_again(one['id'])}{drawn}",
        "bundle": one.get("bundle", ""),
    }


def _drawn(suite: Json) -> str:
    """Give the options by which the same is generated again; empty where a run without any does so."""
    seed = f" --mesh-seed={shlex.quote(str(suite['seed']))}" if suite.get("seed") else ""
    profile = suite.get("hypothesisProfile", "ci")
    return seed if profile == "ci" else f"{seed} --hypothesis-profile={shlex.quote(str(profile))}"


def _again(check: str) -> str:
    """Give the command that runs a check: of a suite by its package's name, of a project's own test by its node id."""
    file, _, inside = check.partition("::")
    if file.startswith("mesh_conformance/"):
        return f"pytest --pyargs mesh_conformance -k {shlex.quote(inside.rpartition('::')[2].partition('[')[0])}"
    return f"pytest {shlex.quote(check)}"


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give nested facts as rows: ``counts.v1``."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        yield prefix, ", ".join(str(item) for item in value)
    else:
        yield prefix, str(value)
