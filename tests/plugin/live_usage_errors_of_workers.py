"""What only workers read and cannot use ends the run as it ends one without workers (make pages: two workers take seconds)."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOGUE = """
from dataclasses import dataclass

@dataclass
class Feature:
    id: str = "One"
    profile: str = "ISTIO-ROUTING"
    level: str = "core"

def pytest_mesh_features(config):
    return [Feature()]
"""


@pytest.fixture
def checks(project):
    with (project.path / "conftest.py").open("a") as file:
        file.write(CATALOGUE)
    project.pytester.makepyfile(
        test_checks="import pytest\n@pytest.mark.mesh_feature('One')\ndef test_one(): pass\n"
        "@pytest.mark.mesh_feature('One')\ndef test_more(): pass\n"
    )
    return project


def one_line(result: pytest.RunResult, line: str) -> None:
    assert result.ret == 4
    result.stderr.fnmatch_lines([line.replace("[", "[[]")])
    assert len([one for one in result.errlines if one]) == 1
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_an_expected_failure_of_no_check_is_one_line(checks):
    (checks.path / "e.yaml").write_text("format: 1\nexpected: [{id: 'test_checks.py::test_oen', reason: r}]\n")

    result = checks.run_apart("-n2", "--mesh-expected-failures=e.yaml")

    one_line(
        result,
        "ERROR: --mesh-expected-failures: expected: no check has the id 'test_checks.py::test_oen'; "
        "did you mean 'test_checks.py::test_one'?",
    )


def test_a_declared_feature_of_no_catalogue_is_one_line(checks):
    path = checks.path / "fake.toml"
    path.write_text(path.read_text().replace('"all"', '["Oen"]'))

    result = checks.run_apart("-n2")

    one_line(result, "ERROR: fake.toml:8: conformance.features[0]: 'Oen' is not known here; did you mean 'One'?")


def test_a_suite_that_is_not_whole_is_one_line(checks):
    path = checks.path / "conftest.py"
    path.write_text(path.read_text().replace('"core"', '"coer"'))

    result = checks.run_apart("-n2")

    one_line(result, "ERROR: features of *conftest.py: One: unknown level 'coer'; did you mean 'core'?")


def test_a_saved_cell_of_another_version_is_one_line(pytester, tmp_path):
    cell = tmp_path / "cells" / "old.yaml"
    cell.parent.mkdir()
    cell.write_text("format: 2\n")
    suite = ROOT / "conformance" / "mesh_conformance" / "properties" / "test_cells.py"

    result = pytester.runpytest_subprocess("-n2", str(suite), f"--mesh-artifacts={tmp_path}/artifacts", timeout=60)

    reason = "format 2 is another version's, this one reads 1"
    one_line(result, f"ERROR: {cell}: {reason}; delete it, or run the version that wrote it")
