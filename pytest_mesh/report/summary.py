"""A ConformanceReport in a few lines of Markdown, for the summary of a step in GitHub Actions. Pure."""

from __future__ import annotations

import re

from pytest_mesh.contracts import Json
from pytest_mesh.report.page import shown

_LISTED = 30
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")


def markdown(report: Json) -> str:
    """Give verdict, profiles, and what did not pass; text of the report stays text."""
    implementation = report["implementation"]
    lines = [
        f"### {_plain(implementation['project'])} {_plain(implementation['version'])}: exit code {report['exitCode']}",
        "",
        "| profile | result | features supported | checks |",
        "|---|---|---|---|",
    ]
    for profile in report["profiles"]:
        parts = [profile[level] for level in ("core", "extended") if level in profile]
        supported = sum(len(part["supportedFeatures"]) for part in parts)
        results = ", ".join(f"{level} {profile[level]['result']}" for level in ("core", "extended") if level in profile)
        lines.append(f"| {_plain(profile['name'])} | {results} | {supported} | {_plain(profile['summary'])} |")
    others = [one for one in report["tests"] if one["verdict"] not in {"passed", "not-applicable"}]
    if others:
        lines += ["", "| check | verdict | what was seen |", "|---|---|---|"]
        lines += [
            f"| {_plain(one['id'])} | {one['verdict']} | {_plain(_first(one.get('message', '')))} |"
            for one in others[:_LISTED]
        ]
        if len(others) > _LISTED:
            lines.append(f"| {len(others) - _LISTED} more | | |")
    return "\n".join(lines) + "\n\n"


def _first(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 300 else f"{line[:299]}…"


def _plain(text: object) -> str:
    """Give text that Markdown takes for text."""
    return _SPECIAL.sub(r"\\\1", shown(text).replace("\n", " "))
