"""Expected failures, shards, a worker that dies, and every form of the report, in whole runs."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import yaml
from click.testing import CliRunner

from pytest_mesh.report.command import command
from pytest_mesh.report.verification import problems

SUITE = """
from dataclasses import dataclass

@dataclass
class Feature:
    id: str
    profile: str = "ISTIO-ROUTING"
    level: str = "core"

def pytest_mesh_features(config):
    return [Feature("One"), Feature("Two")]
"""
CHECKS = """
import pytest
from pytest_mesh.failures import *

@pytest.mark.mesh_feature("One")
def test_one(mesh_evidence):
    mesh_evidence(requests=7, delta=0.05, alpha=1e-6, eValue=0.25, gateSeconds=0.125)

@pytest.mark.mesh_feature("Two")
def test_two(): raise MeshFailure("gave 503, wanted 200")
"""


@pytest.fixture
def run(project):
    with (project.path / "conftest.py").open("a") as file:
        file.write(SUITE)
    project.pytester.makepyfile(test_checks=CHECKS)
    return project.run


@pytest.fixture
def expect(project):
    def write(*entries):
        (project.path / "expected.yaml").write_text(yaml.safe_dump({"format": 1, "expected": list(entries)}))
        return "--mesh-expected-failures=expected.yaml"

    return write


def read(project, name="r.yaml"):
    return yaml.safe_load((project.path / name).read_text())


def entry(check="test_checks.py::test_two", **fields):
    return {"id": check, "reason": "known since spring", **fields}


def test_an_expected_failure_is_waived_and_never_passed(project, run, expect):
    result = run(expect(entry(issue="https://example.com/7", signature="gave 503")), "--mesh-report=r.yaml", "-ra")

    assert result.ret == 0
    result.assert_outcomes(passed=1, xfailed=1)
    result.stdout.fnmatch_lines(
        ["*Two *unproven *0/1 checks: waived: gave 503*", "XFAIL *expected: known since spring*"]
    )
    report = read(project)
    (profile,) = report["profiles"]
    assert profile["core"]["result"] == "partial"
    assert profile["core"]["supportedFeatures"] == ["One"]
    assert profile["waivedTests"] == [
        {
            "id": "test_checks.py::test_two",
            "reason": "known since spring",
            "issue": "https://example.com/7",
            "signature": "gave 503",
        }
    ]
    assert problems(report, described=False) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"signature": "gave 404"}, "with 'gave 404' in its message"),
        ({"expires": dt.date(2020, 1, 1)}, "until 2020-01-01"),
    ],
)
def test_another_failure_than_the_expected_one_fails(run, expect, fields, said):
    result = run(expect(entry(**fields)))

    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"this check is expected to fail {said}*"])


def test_an_entry_whose_check_passes_ends_the_run_with_11(run, expect):
    result = run(expect(entry(), entry("test_checks.py::test_one")))

    assert result.ret == 11
    result.stdout.fnmatch_lines(
        ["mesh: expected failures: test_checks.py::test_one: is expected to fail and passed: *"]
    )


def test_an_expired_entry_of_another_file_ends_the_run_with_11(run, expect):
    old = entry("elsewhere.py::test_it", expires=dt.date(2020, 1, 1))

    assert run(expect(entry(), old)).ret == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format: 9", "*--mesh-expected-failures: expected.yaml: format: is 9, this version reads 1*"),
        ("format: 1\nexpected: [{id: 'test_checks.py::test_tow', reason: r}]", "*no check has the id *did you mean*"),
    ],
)
def test_a_file_of_expected_failures_that_cannot_be_used_ends_with_4(project, run, text, said):
    (project.path / "expected.yaml").write_text(text)
    (project.path / "r.yaml").write_text("an earlier run's")

    result = run("--mesh-expected-failures=expected.yaml", "--mesh-report=r.yaml")

    assert result.ret == 4
    result.stderr.fnmatch_lines([said])
    assert (project.path / "r.yaml").read_text() == "an earlier run's"


def test_one_run_writes_every_form_of_the_report(project, run, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))

    result = run(
        "--mesh-report=r.yaml", "--mesh-report-html=r.html", "--mesh-report-ndjson=r.ndjson", "--junitxml=j.xml"
    )

    assert result.ret == 1
    report = read(project)
    assert [one["verdict"] for one in report["tests"]] == ["passed", "failed"]
    assert "gave 503, wanted 200" in (project.path / "r.html").read_text()
    events = [json.loads(line) for line in (project.path / "r.ndjson").read_text().splitlines()]
    assert [one["event"] for one in events] == ["check", "check", "end"]
    assert events[1]["outcome"] == "failed"
    assert events[-1]["exitCode"] == 1
    summary = (project.path / "summary.md").read_text()
    assert r"| ISTIO\-ROUTING | core failure | 1 | 1 failed, 1 passed |" in summary
    assert "gave 503, wanted 200" in summary


def test_a_report_that_cannot_be_written_fails_the_run(project, run, expect):
    (project.path / "file").write_text("")

    result = run(expect(entry()), "--mesh-report=file/r.yaml")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["mesh: report: *file/r.yaml: *"])


def test_verbose_shows_what_a_check_rests_on(run):
    result = run("-v")

    result.stdout.fnmatch_lines(
        ["*test_one PASSED (7 requests, delta 5 points, e-value 0.25, in the proxies after 0.12 s)*"]
    )


def test_verbose_shows_figures_of_a_failed_check_and_of_one_with_other_facts(project, run):
    project.pytester.makepyfile(
        test_checks="""
        import pytest

        @pytest.mark.mesh_feature("One")
        def test_one(mesh_evidence):
            mesh_evidence(serial="0a:0b", hours=24)

        @pytest.mark.mesh_feature("Two")
        def test_two(mesh_evidence):
            mesh_evidence(requests=7)
            assert False
        """
    )

    result = run("-v")

    result.stdout.fnmatch_lines(["*test_one PASSED (serial 0a:0b, hours 24)*", "*test_two FAILED (7 requests)*"])


def test_a_check_that_the_run_did_not_reach_is_in_the_report(project, run):
    project.pytester.makepyfile(
        test_aaa="import pytest\n@pytest.mark.mesh_feature('Two')\ndef test_first(): assert False\n"
    )

    assert run("-x", "--mesh-report=r.yaml").ret == 1

    verdicts = {one["id"]: (one["verdict"], one.get("message", "")) for one in read(project)["tests"]}
    assert verdicts["test_checks.py::test_one"] == ("skipped", "not run: the run ended before it")


def test_a_worker_that_dies_leaves_a_failed_check(project, run):
    project.pytester.makepyfile(
        test_zzz="import os, pytest\n@pytest.mark.mesh_feature('One')\ndef test_dies(): os._exit(1)\n"
    )

    result = project.run_apart("-n2", "--mesh-report=r.yaml", "-p", "no:cacheprovider")

    assert result.ret == 1
    (dead,) = [one for one in read(project)["tests"] if one["id"] == "test_zzz.py::test_dies"]
    assert dead["verdict"] == "failed"
    assert dead["message"].startswith("the worker died: ")
    assert read(project)["profiles"][0]["core"]["supportedFeatures"] == []


def test_a_failure_in_a_worker_ends_the_run_with_1(project, run):
    del run  # it writes the checks
    assert project.run_apart("-n2", "-p", "no:cacheprovider").ret == 1


def test_expected_failures_hold_under_workers(project, run, expect):
    result = project.run_apart("-n2", expect(entry()), "--mesh-report=r.yaml", "-p", "no:cacheprovider")

    assert result.ret == 0, result.stdout.str()
    assert [one["verdict"] for one in read(project)["tests"]] == ["passed", "waived"]


def test_shards_merge_into_the_whole_run(project, run):
    for number in range(3):
        project.pytester.makepyfile(
            **{f"test_more_{number}": "import pytest\n@pytest.mark.mesh_feature('One')\ndef test_it(): pass\n"}
        )
    run("--mesh-report=whole.yaml")
    parts = []
    for number in range(1, 5):
        run(f"--mesh-shard={number}/4", f"--mesh-report={number}.yaml")
        parts.append(str(project.path / f"{number}.yaml"))

    result = CliRunner().invoke(command, ["merge", *parts, "-o", str(project.path / "merged.yaml")])

    assert result.exit_code == 0, result.output
    whole, merged = read(project, "whole.yaml"), read(project, "merged.yaml")
    for one in (whole, merged):
        del one["date"]
        for test in one["tests"]:
            del test["seconds"]
    assert merged == whole


def test_more_shards_than_files_are_refused(run):
    result = run("--mesh-shard=2/2")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--mesh-shard: 2 parts of 1 files: *"])


@pytest.mark.parametrize("text", ["4", "0/4", "5/4", "a/b", "1/4/2"])
def test_a_shard_that_cannot_be_is_refused(run, text):
    result = run(f"--mesh-shard={text}")

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--mesh-shard: '{text}': want I/N*"])


def test_a_failure_says_which_promise_is_broken_by_which_rule_and_how_to_see_it_again(project, run):
    path = project.path / "conftest.py"
    path.write_text(
        path.read_text().replace(
            '    level: str = "core"\n',
            '    level: str = "core"\n    title: str = "no route, no answer"\n    rows: tuple = ("F4",)\n'
            '    link: str = "https://example.com/f4"\n',
        )
    )

    result = run("--mesh-seed=7", "--mesh-report=r.yaml", "--mesh-keep=on-failure")

    result.stdout.fnmatch_lines(
        [
            "Two (ISTIO-ROUTING, core): no route, no answer",
            "rule F4: https://example.com/f4",
            "again, alone: pytest test_checks.py::test_two --mesh-keep=on-failure --mesh-seed=7",
        ]
    )


def test_the_command_of_an_installed_suite_names_its_module(project, run):
    package = project.path / "elsewhere" / "acme_suite" / "routing"
    package.mkdir(parents=True)
    for directory in (package, package.parent):
        (directory / "__init__.py").touch()
    text = "import pytest\n@pytest.mark.mesh_feature('One')\n@pytest.mark.parametrize('a', ['x y'])\ndef test_it(a): assert 0\n"
    (package / "test_suite.py").write_text(text)
    (project.path / "mine").mkdir()
    (project.path / "mine" / "conftest.py").write_text((project.path / "conftest.py").read_text())
    (project.path / "mine" / "fake.toml").write_text((project.path / "fake.toml").read_text())

    result = run("--rootdir=mine", "--confcutdir=.", str(package), "--import-mode=importlib")

    result.stdout.fnmatch_lines(["again, alone: pytest --pyargs 'acme_suite.routing.test_suite::test_it[[]x y]'"])
