"""What counts as worse between two reports, and what does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from click.testing import CliRunner

from pytest_mesh import documents
from pytest_mesh.contracts import Evidence, Implementation
from pytest_mesh.report import model
from pytest_mesh.report.command import command
from pytest_mesh.report.difference import differences


@dataclass(frozen=True)
class Feature:
    id: str
    profile: str = "P"
    level: str = "core"


FEATURES = [Feature("One"), Feature("Two")]
MESH = Implementation(name="m", organization="o", project="p", url="u", version="1", contact=("c",), features="all")


def report(*found: Evidence, implementation: Implementation = MESH, exit_code: int = 0):
    return model.build(
        found,
        FEATURES,
        implementation=implementation,
        suite={"name": "s"},
        environment={},
        date="2026-01-01T00:00:00Z",
        exit_code=exit_code,
    )


def one(outcome: str, check: str = "t::a", feature: str = "One", **facts) -> Evidence:
    return Evidence(check=check, feature=feature, outcome=outcome, facts=facts)


def kinds(before, after, *, regression=True):
    return [found.kind for found in differences(before, after) if found.regression is regression]


def test_equal_reports_do_not_differ():
    assert differences(report(one("passed")), report(one("passed"))) == []


@pytest.mark.parametrize(
    ("before", "after", "worse", "other"),
    [
        ("passed", "failed", ["feature lost", "new failure"], []),
        ("failed", "passed", [], ["feature gained", "mended"]),
        ("passed", "inconclusive", ["feature lost", "no longer proven"], []),
        ("passed", "not-applicable", ["feature lost", "no longer run"], []),
        ("passed", "waived", ["feature lost", "waived"], []),
        ("failed", "waived", [], ["waived"]),
        ("inconclusive", "failed", ["new failure"], []),
        ("skipped", "infrastructure", [], ["changed"]),
    ],
)
def test_a_verdict_that_turns_is_a_regression_when_it_turns_for_the_worse(before, after, worse, other):
    old, new = report(one(before)), report(one(after))

    assert kinds(old, new) == worse
    assert kinds(old, new, regression=False) == other


def test_a_check_that_is_gone_is_a_regression_and_a_new_one_is_not():
    fewer, more = report(one("passed")), report(one("passed"), one("passed", "t::b"))

    assert kinds(more, fewer) == ["check gone"]
    assert kinds(fewer, more) == []
    assert kinds(fewer, more, regression=False) == ["check added"]


def test_a_new_check_that_fails_is_a_regression():
    after = report(one("passed"), one("failed", "t::b", "Two"), exit_code=1)

    assert kinds(report(one("passed")), after) == ["new failure"]


def test_a_split_that_is_claimed_more_loosely_is_a_weaker_claim():
    tight, loose = report(one("passed", delta=0.02)), report(one("passed", delta=0.05))

    assert kinds(tight, loose) == ["weaker claim"]
    assert kinds(loose, tight) == []


def waits(seconds: float, number: int = 6):
    return report(*(one("passed", f"t::{index}", gateSeconds=seconds) for index in range(number)))


def test_configuration_that_takes_half_as_long_again_is_slower():
    assert kinds(waits(0.3), waits(0.6)) == ["slower convergence", "slower convergence"]
    assert kinds(waits(0.3), waits(0.35)) == []
    assert kinds(waits(0.01), waits(0.05)) == []


def test_a_few_waits_say_nothing():
    assert kinds(waits(0.3, 4), waits(3, 4)) == []


def test_a_larger_declared_budget_is_slower():
    patient = report(one("passed"), implementation=replace(MESH, convergence_seconds=MESH.convergence_seconds + 60))

    assert kinds(report(one("passed")), patient) == ["slower convergence"]


@pytest.fixture
def files(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else documents.write(data))
        return str(path)

    return write


def test_the_command_lists_regressions_and_ends_with_1(files):
    before, after = files("a", report(one("passed"))), files("b", report(one("failed"), exit_code=1))

    result = CliRunner().invoke(command, ["diff", before, after])

    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "- feature lost: One: was supported",
        "- new failure: t::a: passed -> failed",
        "2 regressions, 0 other differences",
    ]


def test_the_command_gives_json(files):
    before, after = files("a", report(one("failed"), exit_code=1)), files("b", report(one("passed")))

    result = CliRunner().invoke(command, ["diff", "-o", "json", before, after])

    assert result.exit_code == 0
    assert [row["kind"] for row in json.loads(result.output)] == ["feature gained", "mended"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not YAML"),
        ("a: b", "no ConformanceReport"),
        ("kind: ConformanceReport\napiVersion: conformance.pytest-mesh.dev/v9", "apiVersion: is 'conformance"),
        ("kind: ConformanceReport\napiVersion: conformance.pytest-mesh.dev/v1alpha1", "has not the shape"),
    ],
)
def test_a_file_that_is_no_report_of_this_version_ends_with_4(files, text, said):
    good, bad = files("good", report(one("passed"))), files("bad", text)

    result = CliRunner().invoke(command, ["diff", good, bad])

    assert result.exit_code == 4
    assert said in result.output
    assert len(result.output.splitlines()) == 1
