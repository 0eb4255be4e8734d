"""Whole runs: exit codes, JUnit, table, report, xdist, keeping."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import yaml

from pytest_mesh import confirming

SUITE = """
from dataclasses import dataclass
import pytest

@dataclass
class Feature:
    id: str
    profile: str = "ISTIO-ROUTING"
    level: str = "core"

def pytest_mesh_features(config):
    return [Feature(name, level="extended" if name == "Three" else "core") for name in {names}]
"""


def suite(project, body: str) -> None:
    with (project.path / "conftest.py").open("a") as file:
        file.write(SUITE.replace("{names}", repr([one for one in ("One", "Two", "Three") if f'"{one}"' in body])))
    project.pytester.makepyfile("import pytest\nfrom pytest_mesh.failures import *\n" + body)


def declare(project, features: str) -> None:
    path = project.path / "fake.toml"
    path.write_text(path.read_text().replace('"all"', features))


def test_checks_become_a_table_a_report_and_properties(project):
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
def test_one(mesh_evidence):
    mesh_evidence(requests=7, delta=0.05, alpha=1e-6)

@pytest.mark.mesh_feature("Two")
def test_two(): assert False, "the route is wrong"

@pytest.mark.mesh_feature("Three")
def test_three(): raise Inconclusive("undecided at the cap")
""",
    )

    result = project.run("--mesh-report=out/report.yaml", "--junitxml=j.xml")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "ISTIO-ROUTING: 1 of 3 features supported",
            "*One *core * supported *1/1 checks (delta 5 points)",
            "*Two *core * failed *0/1 checks: failed: the route is wrong",
            "*Three *extended *unproven *0/1 checks: inconclusive: undecided at the cap",
            "3 checks: 1 passed, 1 failed, 1 inconclusive; alpha over 1 sampling claims 1e-06",
            "mesh: report: *out/report.yaml",
        ]
    )
    report = yaml.safe_load((project.path / "out/report.yaml").read_text())
    (profile,) = report["profiles"]
    assert profile["core"]["statistics"] == {"Passed": 1, "Skipped": 0, "Failed": 1}
    assert profile["core"]["result"] == "failure"
    assert profile["core"]["supportedFeatures"] == ["One"]
    assert profile["extended"]["unprovenFeatures"] == ["Three"]
    assert report["suite"]["oracle"] == confirming.standing()
    assert report["tests"][0]["evidence"]["requests"] == 7
    cases = {case.get("name"): case for case in ET.parse(project.path / "j.xml").iter("testcase")}
    properties = {one.get("name"): one.get("value") for one in cases["test_one"].iter("property")}
    assert properties == {
        "mesh_feature": "One",
        "mesh_outcome": "passed",
        "mesh_requests": "7",
        "mesh_delta": "0.05",
        "mesh_alpha": "1e-06",
    }
    assert cases["test_two"].find("failure") is not None
    assert cases["test_three"].find("error") is not None
    assert cases["test_three"].find("failure") is None


def test_only_unproven_checks_end_with_10(project):
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
def test_one(): pass

@pytest.mark.mesh_feature("Two")
def test_two(): raise Inconclusive("undecided")
""",
    )

    assert project.run().ret == 10


def test_a_machine_that_lacks_something_is_one_line_and_exit_code_10(project, monkeypatch):
    monkeypatch.setenv("FAKE_BROKEN", "1")
    project.pytester.makepyfile(
        "def test_one(mesh_namespace): pass\ndef test_two(mesh): pass\ndef test_three(mesh_cluster): pass\n"
    )

    result = project.run()

    assert result.ret == 10
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["mesh: infrastructure: no iptables on this machine: apt-get install iptables"])
    assert "Traceback" not in result.stdout.str()
    assert project.events == ["broken"]


def test_a_suite_that_executed_no_check_never_ends_with_0(project):
    declare(project, '["Two"]')
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
def test_one(mesh_namespace): pass

@pytest.mark.skip
@pytest.mark.mesh_feature("Two")
def test_two(): pass
""",
    )

    result = project.run("-rs")

    assert result.ret == 10
    result.stdout.fnmatch_lines(["*not applicable: implementation 'fake' does not declare One*"])
    assert project.events == []


def test_a_declared_feature_that_is_not_in_the_catalogue_is_a_usage_error_that_names_the_line(project):
    declare(project, '["One", "Thre"]')
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
def test_one(): pass

@pytest.mark.mesh_feature("Three")
def test_three(): pass
""",
    )

    result = project.run()

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*fake.toml:8: conformance.features[[]1]: 'Thre' is not known here; did you mean 'Three'?"]
    )


def test_inferred_features_run_every_check_and_end_with_the_list_to_declare(project):
    declare(project, '"inferred"')
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
def test_one(): pass

@pytest.mark.mesh_feature("Two")
def test_two(): assert False
""",
    )

    result = project.run("--mesh-report=report.yaml")

    assert result.ret == 1
    result.stdout.fnmatch_lines(['mesh: proven: features = [[]"One"]'])
    (profile,) = yaml.safe_load((project.path / "report.yaml").read_text())["profiles"]
    assert profile["core"]["supportedFeatures"] == ["One"]


def test_a_feature_that_is_not_in_the_catalogue_is_a_usage_error(project):
    suite(
        project,
        """
@pytest.mark.mesh_feature("Nein")
def test_one(): pass
""",
    )

    result = project.run()

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*not in the catalogue of features: *test_one: feature 'Nein'"])


def test_two_workers_share_one_cluster_that_the_controller_removes(project):
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
@pytest.mark.parametrize("n", range(4))
def test_one(mesh, n): assert mesh.cluster.backend == "fake"

@pytest.mark.mesh_feature("Two")
@pytest.mark.mesh_exclusive
def test_two(mesh_cluster): assert mesh_cluster.name.startswith("pytest-")
""",
    )

    result = project.run_apart("-n", "2", "--mesh-report=report.yaml")

    assert result.ret == 0
    result.assert_outcomes(passed=5)
    assert project.events == ["start", "down"]
    result.stdout.fnmatch_lines(["mesh: cluster: the fake is coming up"])
    result.stdout.fnmatch_lines(["5 checks: 5 passed"])
    report = yaml.safe_load((project.path / "report.yaml").read_text())
    assert report["environment"]["kubernetes"] == "v1.34.4-fake"


def test_a_kept_cluster_is_named_with_the_way_to_use_and_to_remove_it(project):
    project.pytester.makepyfile("def test_one(mesh_cluster): assert False")

    result = project.run_apart("--mesh-keep=on-failure")

    assert result.ret == 1
    assert project.events == ["start"]
    result.stdout.fnmatch_lines(["mesh: cluster: 'mesh' is kept: export KUBECONFIG=*; remove it with: pytest-mesh *"])
    pid = next(line for line in result.stdout.str().splitlines() if "is kept" in line)
    assert pid


def test_a_check_that_was_rerun_proves_nothing(project):
    suite(
        project,
        """
@pytest.mark.mesh_feature("One")
def test_one(): pass
""",
    )
    with (project.path / "conftest.py").open("a") as file:
        file.write(
            "\n\n@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtest_protocol(item, nextitem):\n"
            "    from _pytest.runner import runtestprotocol\n"
            "    from pytest_mesh.keys import RECORDS, TestState\n"
            "    runtestprotocol(item, nextitem=nextitem)\n"
            "    item.stash[RECORDS] = TestState()\n"
        )

    result = project.run()

    assert result.ret == 10
    result.stdout.fnmatch_lines(["*One *unproven *inconclusive: the check was run more than once"])
