"""What a whole run tells beside its table: what it spent of alpha, provisional failures, and how to see a failure again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pytest_mesh.options import ROWS
from pytest_mesh.report import story

SUITE = """
from dataclasses import dataclass

@dataclass
class Feature:
    id: str
    profile: str = "ISTIO-ROUTING"
    level: str = "core"

def pytest_mesh_features(config):
    return [Feature("One"), Feature("Two", level="provisional")]
"""
CHECKS = """
import pytest

@pytest.mark.mesh_feature("One")
def test_one(mesh_evidence): mesh_evidence(alpha=1e-6)

@pytest.mark.mesh_feature("Two")
def test_two(): assert False, "gave 503, wanted 200"
"""


@pytest.fixture
def run(project):
    with (project.path / "conftest.py").open("a") as file:
        file.write(SUITE)
    project.pytester.makepyfile(test_checks=CHECKS)
    return project.run


def test_what_a_run_of_ones_own_tests_spent_of_alpha_is_told(project):
    project.pytester.makepyfile(
        "def test_one(mesh_evidence): mesh_evidence(alpha=2e-6, claims=2)\n"
        "def test_two(mesh_evidence): mesh_evidence(alpha=1e-6)\n"
    )

    result = project.run("--mesh-report=r.yaml")

    result.stdout.fnmatch_lines(["mesh: alpha over 3 sampling claims 3e-06"])
    suite = yaml.safe_load((project.path / "r.yaml").read_text())["suite"]
    assert (suite["claims"], suite["alpha"]) == (3, pytest.approx(3e-6))
    assert suite["hypothesisProfile"] == "ci"


def test_a_provisional_failure_ends_with_1_and_is_named_beside_the_verdict(project, run):
    result = run("--mesh-report=r.yaml")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["provisional, failed; no profile's result counts it: *::test_two"])
    (profile,) = yaml.safe_load((project.path / "r.yaml").read_text())["profiles"]
    assert profile["core"]["result"] == "success"
    assert [one.partition("::")[2] for one in profile["provisional"]["failedTests"]] == ["test_two"]


def test_the_command_has_what_the_environment_and_the_ini_file_gave_for_the_seed(project, run, monkeypatch):
    with (project.path / "tox.ini").open("a") as file:
        file.write("\nmesh_seed = 8\n")
    monkeypatch.setenv("PYTEST_MESH_KEEP", "on-failure")
    monkeypatch.setenv("PYTEST_MESH_FRESH", "false")
    monkeypatch.setenv("MESH_EXTENDED", "1")

    result = run()

    result.stdout.fnmatch_lines(
        ["again, alone: MESH_EXTENDED=1 pytest test_checks.py::test_two --mesh-keep=on-failure --mesh-seed=8"]
    )


def test_the_command_has_the_profile_of_what_was_generated(tmp_path):
    options = SimpleNamespace(
        sources={row.name: "default" for row in ROWS}, **{row.name.replace("-", "_"): "" for row in ROWS}
    )
    config = SimpleNamespace(
        getoption=lambda *_: "nightly", invocation_params=SimpleNamespace(dir=tmp_path), rootpath=tmp_path
    )
    item = SimpleNamespace(nodeid="test_a.py::test_it", path=Path(tmp_path / "test_a.py"))

    told = story.again(item, SimpleNamespace(options=options, config=config))

    assert told.endswith("pytest test_a.py::test_it --hypothesis-profile=nightly")
