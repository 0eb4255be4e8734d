"""A suite is whole: features in a known profile and with a check, tests that are checks; else one line and exit code 4."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from pytest_mesh import suites
from pytest_mesh.plugin import pytest_testnodedown

CONFTEST = """
from dataclasses import dataclass

@dataclass
class Feature:
    id: str
    profile: str = "ISTIO-ROUTING"
    level: str = "core"

def pytest_mesh_features(config):
    return [Feature("One"), Feature("Two")]
"""
ONE = "import pytest\n@pytest.mark.mesh_feature('One')\ndef test_one(): pass\n"
TWO = "@pytest.mark.mesh_feature('Two')\ndef test_two(): pass\n"
ORPHAN = "def test_orphan(mesh_namespace): pass\n"


@dataclass(frozen=True, kw_only=True)
class Feature:
    id: str = "One"
    profile: str = "ISTIO-ROUTING"
    level: str = "core"


@pytest.fixture
def acme(project):
    """A suite in a package beside the user's own tests."""
    package = project.path / "acme"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "conftest.py").write_text(CONFTEST)

    def write(text: str) -> str:
        (package / "test_acme.py").write_text(text)
        return "acme/test_acme.py"

    return write


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (Feature(profile="ISTIO-ROUTNG"), "One: unknown profile 'ISTIO-ROUTNG'; did you mean 'ISTIO-ROUTING'?"),
        (
            Feature(profile="MINE"),
            "One: unknown profile 'MINE' (one of ISTIO-ROUTING, MESH-INJECTION, MESH-IDENTITY, MESH-VALIDATION)",
        ),
        (Feature(profile="MESH-XDS"), "One: profile 'MESH-XDS' is reserved"),
        (Feature(level="coer"), "One: unknown level 'coer'; did you mean 'core'?"),
        (Feature(level="must"), "One: unknown level 'must' (one of core, extended, provisional)"),
    ],
)
def test_a_feature_in_no_profile_or_level_is_named_with_its_file(feature, said):
    catalogue = suites.Catalogue(home=None, file="acme/conftest.py", features=(feature,))

    with pytest.raises(pytest.UsageError) as caught:
        suites.refuse_misplaced([catalogue])

    assert str(caught.value) == f"features of acme/conftest.py: {said}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def test_plain(): pass\n", "ERROR: features of */acme/conftest.py: without a check: One; Two"),
        (
            ONE + TWO + ORPHAN,
            (
                'ERROR: in a suite, and a check of no feature (mark it mesh_feature("ID")): '
                "acme/test_acme.py::test_orphan"
            ),
        ),
        (
            ONE + TWO + "@pytest.mark.mesh_feature()\n" + ORPHAN,
            'ERROR: mesh_feature: wants the id of a feature, as mesh_feature("ID"): acme/test_acme.py::test_orphan',
        ),
    ],
)
def test_a_suite_that_is_not_whole_is_refused_in_one_line(project, acme, text, line):
    acme(text)

    result = project.run("--collect-only")

    assert result.ret == 4
    assert len(result.errlines) == 2, "one line, and the empty one that pytest writes"
    result.stderr.fnmatch_lines([line.replace("[", "[[]")])


def test_a_part_of_a_suite_is_not_asked_for_the_rest_of_it(project, acme):
    file = acme(ONE)

    assert project.run(file).ret == 0
    assert project.run("-k", "one").ret == 0


def test_tests_beside_a_suite_need_no_feature(project, acme):
    acme(ONE + TWO)
    project.pytester.makepyfile(test_mine=ORPHAN)

    assert project.run("--collect-only").ret == 0


def test_what_a_worker_cannot_use_is_the_runs_line(project, acme):
    file = acme(ONE.replace("One", "Oen"))

    result = project.run("-p", "xdist.plugin", "-n1", file)

    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: not in the catalogue of features: acme/test_acme.py::test_one: feature 'Oen'"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_worker_that_ends_well_ends_no_run():
    pytest_testnodedown(SimpleNamespace(workeroutput={"exitstatus": 0}), None)
    pytest_testnodedown(SimpleNamespace(), "it died")
