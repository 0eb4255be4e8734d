"""A report must hold together, whatever was proven; and one that was edited must not."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import get_args

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.contracts import Evidence, Implementation, Outcome
from pytest_mesh.report import model
from pytest_mesh.report.command import command
from pytest_mesh.report.verdict import exit_code
from pytest_mesh.report.verification import problems


@dataclass(frozen=True)
class Feature:
    id: str
    profile: str = "P"
    level: str = "core"


FEATURES = [Feature("One"), Feature("Two"), Feature("More", level="extended"), Feature("Other", profile="Q")]
NEW = [*FEATURES, Feature("New", level="provisional")]
MESH = Implementation(name="m", organization="o", project="p", url="u", version="1", contact=("c",), features="all")


def evidence(check: str, feature: str, outcome: str, **facts) -> Evidence:
    return Evidence(check=check, feature=feature, outcome=outcome, facts=facts)


def report_of(*found: Evidence, exit_code: int = 0, implementation: Implementation = MESH, features=NEW):
    return model.build(
        found,
        features,
        implementation=implementation,
        suite={"name": "s"},
        environment={},
        date="2026-01-01T00:00:00Z",
        exit_code=exit_code,
    )


@pytest.fixture
def good_report():
    return report_of(
        evidence("t::a", "One", "passed", alpha=1e-6, claims=2),
        evidence("t::b", "Two", "failed"),
        evidence("t::c", "More", "inconclusive"),
        evidence("t::d", "Other", "not-applicable"),
        evidence("t::e", "New", "failed"),
        evidence("t::f", "", "passed", alpha=2e-6),
        exit_code=1,
    )


RUNS = st.lists(st.tuples(st.sampled_from([one.id for one in NEW]), st.sampled_from(get_args(Outcome))), max_size=8)


@given(RUNS)
def test_every_report_that_is_built_holds_together(run):
    found = [evidence(f"t::{number:02}", *pair) for number, pair in enumerate(run)]
    failures = sum(one.outcome == "failed" for one in found)
    unproven = sum(one.outcome in {"inconclusive", "infrastructure"} for one in found)
    code = exit_code(int(bool(failures or unproven)), failures=failures, unproven=unproven, suite=found or None)

    assert problems(report_of(*found, exit_code=code)) == []


@given(RUNS)
def test_the_order_in_which_checks_end_does_not_show(run):
    found = [evidence(f"t::{number:02}", *pair) for number, pair in enumerate(run)]

    assert report_of(*found) == report_of(*reversed(found))


def edit(path, value):
    def change(report):
        node = report
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit(["profiles", 0, "core", "supportedFeatures"], ["One", "Two"]), "Two is not proven (failed)"),
        (edit(["profiles", 0, "extended", "supportedFeatures"], ["More"]), "More is not proven (inconclusive)"),
        (edit(["profiles", 0, "core", "supportedFeatures"], []), "One is proven and left out"),
        (edit(["profiles", 0, "core", "statistics", "Failed"], 0), "P.core.statistics"),
        (edit(["profiles", 0, "core", "failedTests"], []), "P.core.failedTests"),
        (edit(["profiles", 0, "core", "result"], "success"), "P.core.result: is 'success'"),
        (edit(["profiles", 0, "inconclusiveTests"], []), "P.inconclusiveTests"),
        (edit(["tests", 1, "verdict"], "fine"), "t::b: verdict 'fine' is not known"),
        (edit(["tests", 0, "evidence"], {"rerun": True}), "t::a: was rerun and counts as passed"),
        (edit(["tests", 0, "id"], "u::z"), "not in the order of their ids"),
        (edit(["implementation", "contact"], []), "implementation.contact: is required"),
        (edit(["exitCode"], 0), "exitCode: is 0, and checks are failed, inconclusive"),
        (edit(["exitCode"], 10), "exitCode: is 10, and checks failed"),
        (edit(["suite", "alpha"], 1e-6), "suite.alpha: is 1e-06, the checks say 3e-06"),
        (edit(["suite", "claims"], 2), "suite.claims: is 2, the checks say 3"),
        (edit(["profiles", 0, "provisional", "failedTests"], []), "P.provisional.failedTests: is []"),
        (edit(["kind"], "Report"), "not a ConformanceReport"),
        (edit(["profiles"], [{}]), "has not the shape"),
    ],
)
def test_what_does_not_follow_from_the_checks_is_named(good_report, change, said):
    assert problems(good_report) == []
    broken = copy.deepcopy(good_report)
    change(broken)

    assert any(said in line for line in problems(broken)), problems(broken)


def test_a_report_of_an_earlier_version_holds_together_too(good_report):
    del good_report["suite"]["alpha"], good_report["suite"]["claims"], good_report["profiles"][0]["provisional"]

    assert problems(good_report) == []


def test_a_provisional_failure_is_listed_and_leaves_the_profile_as_it_is(good_report, tmp_path):
    proven = [evidence("t::a", "One", "passed"), evidence("t::b", "Two", "passed")]
    (profile, _) = report_of(*proven, evidence("t::e", "New", "failed"), exit_code=1)["profiles"]
    path = tmp_path / "report.yaml"
    path.write_text(yaml.safe_dump(good_report))

    assert profile["core"]["result"] == "success"
    assert profile["provisional"] == {"failedTests": ["t::e"]}
    assert "provisional" not in report_of(*proven)["profiles"][0]
    assert "  provisional, failed: t::e\n" in CliRunner().invoke(command, ["show", str(path)]).output


def test_claims_of_all_checks_are_added_up_and_an_alpha_of_letters_is_none():
    total = model.spent([{"alpha": 1e-6}, {"alpha": 2e-6, "claims": 2}, {"alpha": "greek"}, {"claims": 9}, {}])

    assert str(total) == "alpha over 3 sampling claims 3e-06"
    assert str(model.spent([])) == "alpha over 0 sampling claims 0"


def test_the_command_ends_with_1_and_names_file_and_fault(good_report, tmp_path):
    path = tmp_path / "report.yaml"
    path.write_text(yaml.safe_dump(good_report))
    good = CliRunner().invoke(command, ["verify", str(path)])
    good_report["exitCode"] = 0
    path.write_text(yaml.safe_dump(good_report))
    bad = CliRunner().invoke(command, ["verify", str(path)])

    assert (good.exit_code, good.output) == (0, f"{path}: 6 checks, the report holds together\n")
    assert bad.exit_code == 1
    assert f"{path}: exitCode: is 0" in bad.output


def test_a_file_that_is_no_report_is_one_line(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("kind: List\n")

    result = CliRunner().invoke(command, ["verify", str(path)])

    assert result.exit_code == 4
    assert result.output.startswith(f"{path}: no ConformanceReport")
