"""From pytest's reports to evidence, and from evidence to the run's end: exit code and table.

``note`` runs where the test runs (a worker, perhaps); what it writes travels on
the report. Everything else runs on the controller only, after all workers.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mesh.contracts import Evidence
from pytest_mesh.failures import Infrastructure, MeshError
from pytest_mesh.keys import NOT_APPLICABLE, RECORDS, TestState, check_name, feature_of
from pytest_mesh.kube import KubeError
from pytest_mesh.report import writing
from pytest_mesh.report.events import Events
from pytest_mesh.report.page import shown
from pytest_mesh.report.redaction import clean, clean_text, named_values
from pytest_mesh.report.verdict import exit_code, outcome_of

if TYPE_CHECKING:
    from pytest_mesh.run import Run

_log = logging.getLogger(__name__)

_UNPROVEN = frozenset({"inconclusive", "infrastructure"})
_MESSAGE_CHARACTERS = 2_000
_LISTED_BUNDLES = 5
_WORDS = 3
_WORD_CHARACTERS = 40


def shorten(call: pytest.CallInfo[None]) -> None:
    """Leave the API's own error out of the story of a ``MeshError``: its message stands in the error's."""
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, MeshError) and isinstance(error.__cause__, KubeError):
        error.__cause__ = None
        error.__suppress_context__ = True


def note(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, run: Run) -> None:
    """Write down one phase of one test; save the bundle at its first failure."""
    state = item.stash[RECORDS]
    state.seconds += report.duration
    phase = report.when
    told = (report.longreprtext, *(text for _, text in report.sections))
    state.record.secrets |= {value for text in told for value in named_values(text)}
    hidden = frozenset(state.record.secrets).union(*(one.record.secrets for one in state.namespaces))
    error = call.excinfo.value if call.excinfo is not None else None
    if report.failed and error is not None:
        _note_failure(item, report, run, state, error, hidden)
    elif report.skipped and state.outcome is None:
        reason = _skip_reason(report).removeprefix("Skipped: ")
        state.outcome = "not-applicable" if reason.startswith(NOT_APPLICABLE) else "skipped"
        state.message = reason.removeprefix(NOT_APPLICABLE)
    elif report.passed and phase == "call" and state.outcome is None:
        state.outcome = "passed"
    if phase == "call" and report.outcome != "skipped":
        vars(report)["mesh_line"] = clean_text(evidence_line(state.record.evidence), hidden)
    if phase == "teardown":
        _close(item, report, state, hidden)
        vars(report)["mesh_waits"] = [(seconds, clean_text(what, hidden)) for seconds, what in run.monitor.waits()]
    _clean(report, hidden)


def _note_failure(
    item: pytest.Item,
    report: pytest.TestReport,
    run: Run,
    state: TestState,
    error: BaseException,
    hidden: frozenset[str],
) -> None:
    outcome = outcome_of(error)
    # The first failure is the one to tell of, but a failure outweighs what is merely unproven.
    if state.outcome in {None, "passed"} or outcome == "failed":
        state.outcome = outcome
        state.message = str(error)[:_MESSAGE_CHARACTERS] or type(error).__name__
    if outcome == "failed" and _waive(item, report, run, state, error):
        outcome = "waived"
    vars(report)["mesh_outcome"] = outcome  # travels to the controller with the report
    if isinstance(error, Infrastructure):
        told = run.told(error)
        first = str(error).partition("\n")[0]
        report.longrepr = f"mesh: infrastructure: {f'{first} (told above)' if told else error}"
    if outcome in _UNPROVEN and report.when == "call":
        # pytest and JUnit call a failure outside the call an error: nobody is blamed.
        report.when = "setup"
    state.bundle = state.bundle or run.rescued(error)
    if not state.bundle and state.namespaces:
        from pytest_mesh.report import bundle

        state.bundle = str(bundle.save(run.artifacts, check_name(item), report.longreprtext, state.namespaces, hidden))
    if feature_of(item) or state.bundle:
        from pytest_mesh.report import story

        report.sections.append(("mesh", "\n".join(story.lines(item, run, state.bundle))))


def _waive(item: pytest.Item, report: pytest.TestReport, run: Run, state: TestState, error: BaseException) -> bool:
    """Turn an expected failure into what pytest calls xfailed; say why where one is listed and does not count."""
    waiver = run.waivers.get(check_name(item))
    if waiver is None:
        return False
    if not waiver.excuses(str(error), _today()):
        why = f"until {waiver.expires}" if waiver.expired(_today()) else f"with {waiver.signature!r} in its message"
        report.sections.append(("mesh", f"this check is expected to fail {why} (--mesh-expected-failures)"))
        return False
    report.outcome = "skipped"
    vars(report)["wasxfail"] = f"expected: {waiver.reason}"
    facts = waiver.to_json()
    del facts["id"]
    state.outcome = "waived"
    state.record.facts(waiver=facts)
    return True


def _clean(report: pytest.TestReport, hidden: Collection[str]) -> None:
    """Take secrets out of what pytest and its plugins will write: the story of a failure, a skip's reason, the output."""
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, clean_text(reason, hidden))
    elif report.longrepr is not None:
        told = report.longreprtext
        cleaned = clean_text(told, hidden)
        if cleaned != told:  # only then: text has none of pytest's colours
            report.longrepr = cleaned
    report.sections = [(name, clean_text(text, hidden)) for name, text in report.sections]


def _close(item: pytest.Item, report: pytest.TestReport, state: TestState, hidden: Collection[str]) -> None:
    evidence = Evidence(
        check=check_name(item),
        feature=feature_of(item),
        outcome=state.outcome or "skipped",
        seconds=state.seconds,
        facts=clean(_as_json(state.record.evidence), hidden),
        message=clean_text(state.message, hidden),
        bundle=state.bundle,
    )
    vars(report)["mesh_evidence"] = dataclasses.asdict(evidence)
    report.user_properties.append(("mesh_outcome", evidence.outcome))
    for key, value in evidence.facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        report.user_properties.append((f"mesh_{key}", text))
    if evidence.bundle:
        report.user_properties.append(("mesh_bundle", evidence.bundle))


class Collector:
    """Registered on the controller: takes what the reports carry."""

    def __init__(self, run: Run, directory: Path) -> None:
        self._run = run
        target = run.options.report_ndjson
        self._events = Events(directory / target if target else None)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the events' file with the run's exit code."""
        self._events.end(int(session.exitstatus))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count failures and keep evidence."""
        run = self._run
        if report.failed and report.when not in {"setup", "call", "teardown"}:
            run.lost[report.nodeid] = str(report.longrepr)
        if report.failed:
            if getattr(report, "mesh_outcome", "failed") in _UNPROVEN:
                run.unproven += 1
            else:
                run.failures += 1
        data = getattr(report, "mesh_evidence", None)
        if data is None:
            return
        evidence = Evidence(**data)
        run.waits += [(seconds, what, evidence.check) for seconds, what in getattr(report, "mesh_waits", ())]
        if report.nodeid in run.evidence:
            # Whoever ran it again: a check that needed it proves nothing.
            evidence = dataclasses.replace(
                evidence,
                outcome="inconclusive" if evidence.outcome == "passed" else evidence.outcome,
                facts={**evidence.facts, "rerun": True},
                message=evidence.message or "the check was run more than once",
            )
            run.unproven += evidence.outcome == "inconclusive"
        run.evidence[report.nodeid] = evidence
        self._events.check(evidence)


def conclude(session: pytest.Session, run: Run) -> None:
    """Set the run's exit code and write the reports."""
    _account_for_all(session, run)
    suite = [one for one in run.evidence.values() if one.feature]
    stale = _stale(run)
    run.notices += [f"expected failures: {line}" for line in stale]
    session.exitstatus = exit_code(
        int(session.exitstatus),
        failures=run.failures,
        unproven=run.unproven,
        suite=suite or None,
        stale_waivers=len(stale),
    )
    run.failed = session.exitstatus != 0
    for failure in writing.write(session.config.invocation_params.dir, run, int(session.exitstatus)):
        run.notices.append(f"report: {failure}")
        session.exitstatus = max(int(session.exitstatus), 1)


def _account_for_all(session: pytest.Session, run: Run) -> None:
    """Give every collected check its evidence: a report that says nothing of a lost one would be a silence."""
    own = {item.nodeid: (check_name(item), feature_of(item)) for item in getattr(session, "items", ()) or ()}
    checks = {node: told for node, told in {**own, **run.told_checks()}.items() if told[1]}
    if not run.evidence and not run.lost:
        return  # nothing ran: there is nothing to give an account of
    for node, (check, feature) in checks.items():
        if node in run.evidence:
            continue
        lost = run.lost.get(node)
        run.evidence[node] = Evidence(
            check=check,
            feature=feature,
            outcome="skipped" if lost is None else "failed",
            message="not run: the run ended before it" if lost is None else f"the worker died: {lost}",
        )


def _stale(run: Run) -> list[str]:
    if not run.waivers:
        return []
    from pytest_mesh.report.waivers import stale

    return stale(run.waivers, run.evidence.values(), _today())


def _today() -> date:
    return datetime.now(UTC).date()


def evidence_line(facts: Mapping[str, Any]) -> str:
    """Give in a few words what a check rests on; empty where it left no figures."""
    words = []
    if "requests" in facts:
        words.append(f"{facts['requests']} requests")
    if "cells" in facts:
        words.append(f"{facts['cells']} cells")
    if isinstance(facts.get("delta"), float):
        words.append(f"delta {100 * facts['delta']:g} points, e-value {facts.get('eValue', 0):.2g}")
    if "gateSeconds" in facts:
        words.append(f"in the proxies after {facts['gateSeconds']:.2f} s")
    if not words:  # a check with figures of its own: the first that fit
        plain = [(key, value) for key, value in facts.items() if isinstance(value, (str, int, float))]
        words = [f"{key} {value}" for key, value in plain if len(str(value)) <= _WORD_CHARACTERS][:_WORDS]
    return ", ".join(words)


def print_summary(reporter: Any, run: Run) -> None:
    """Write the table and where things are; nothing when no mesh test ran."""
    from pytest_mesh.report import model, table

    suite = [one for one in run.evidence.values() if one.feature]
    spent = model.spent(one.facts for one in run.evidence.values())
    if suite:
        reporter.write_sep("=", f"mesh: {run.implementation.name} on {run.options.cluster}")
        tones = {"good": {"green": True}, "bad": {"red": True}, "unsure": {"yellow": True}, "plain": {}}
        for text, tone in table.lines(suite, list(run.features.values()), run.implementation):
            reporter.write_line(text, **tones[tone])
        for check in table.provisional_failures(suite, list(run.features.values())):
            reporter.write_line(f"provisional, failed; no profile's result counts it: {check}", yellow=True)
        reporter.write_line(table.totals(suite, spent))
        if run.implementation.features == "inferred":
            proven = table.proven(suite, list(run.features.values()))
            reporter.write_line(f"mesh: proven: features = {json.dumps(proven)}")
    elif spent.claims:
        reporter.write_line(f"mesh: {spent}")
    bundles = sorted({one.bundle for one in run.evidence.values() if one.bundle})
    for path in bundles[:_LISTED_BUNDLES]:
        reporter.write_line(f"mesh: evidence of a failure: {path}")
    if len(bundles) > _LISTED_BUNDLES:
        reporter.write_line(f"mesh: evidence of {len(bundles)} failures in all: {run.artifacts}")
    _print_slowest(reporter, run)
    for line in run.notices:
        reporter.write_line(f"mesh: {line}")


def _print_slowest(reporter: Any, run: Run) -> None:
    """List the longest waits where ``--mesh-waits=N`` or ``--durations=N`` asks for them (there 0 means all)."""
    durations = run.config.option.durations
    if not run.waits or not (run.options.waits or durations is not None):
        return
    number = run.options.waits or durations or None
    reporter.write_sep("=", f"mesh: slowest {number or ''} waits".replace("  ", " "))
    for seconds, what, check in sorted(run.waits, reverse=True)[:number]:
        reporter.write_line(f"{seconds:.2f}s {shown(what)}: {check}")


def _skip_reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""


def _as_json(value: dict[str, Any]) -> Any:
    """Give facts as JSON; what is none becomes its text."""
    return json.loads(json.dumps(value, default=str))
