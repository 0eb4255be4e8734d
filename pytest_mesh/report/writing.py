"""Writes a run's report in every form that was asked for: YAML, the page, GitHub's step summary.

On the controller only, when all workers have ended. A run in which no test asked
for a mesh writes nothing, and overwrites nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure

if TYPE_CHECKING:
    from pytest_mesh.run import Run

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
_PROFILE = "ci"
"""Hypothesis's profile of a run that names none: as many generated configurations (``strategies.profiles``)."""


def write(directory: Path, run: Run, code: int) -> list[str]:
    """Write the reports, relative paths below ``directory``; give what could not be written."""
    if not run.evidence:
        return []
    targets: list[tuple[str, Callable[[Path, Json], None]]] = []
    if run.options.report:
        targets.append((run.options.report, _write_yaml))
    if run.options.report_html:
        targets.append((run.options.report_html, _write_page))
    if os.environ.get(STEP_SUMMARY) and any(one.feature for one in run.evidence.values()):
        targets.append((os.environ[STEP_SUMMARY], _append_summary))
    if not targets:
        return []
    report = _build(run, code)
    failures = []
    for target, one in targets:
        path = directory / target
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            one(path, report)
        except OSError as error:
            failures.append(f"{path}: {error.strerror}")
        else:
            run.notices.append(f"report: {path}")
    return failures


def _build(run: Run, code: int) -> Json:
    from pytest_mesh import __version__, confirming
    from pytest_mesh.report import environment, model

    try:
        sessions = run.sessions()
        described = environment.describe(sessions[0].mesh()) if sessions else {"provider": "none"}
    except Infrastructure as error:
        described = {"provider": run.options.cluster, "error": str(error)}
    suite = {"name": "mesh_conformance", "version": __version__, "seed": run.options.seed}
    suite["oracle"] = confirming.standing()
    suite["hypothesisProfile"] = run.config.getoption("hypothesis_profile", None) or _PROFILE
    if run.options.shard:
        suite["shard"] = run.options.shard
    return model.build(
        list(run.evidence.values()),
        list(run.features.values()),
        implementation=run.implementation,
        suite=suite,
        environment=described,
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        exit_code=code,
    )


def _write_yaml(path: Path, report: Json) -> None:
    from pytest_mesh import documents

    path.write_text(documents.write(report))


def _write_page(path: Path, report: Json) -> None:
    from pytest_mesh.report import page

    path.write_text(page.render(report, page.read_files(Path())))


def _append_summary(path: Path, report: Json) -> None:
    from pytest_mesh.report import summary

    with path.open("a", encoding="utf-8") as file:
        file.write(summary.markdown(report))
