"""``--mesh-differential``: what it runs, and what is refused before anything is started."""

from __future__ import annotations

import pytest

from pytest_mesh.implementations import SHIPPED
from pytest_mesh.implementations.beside import beside, object_labels
from pytest_mesh.implementations.loader import load

TESTS = """
import pytest

@pytest.mark.mesh_differential
def test_two(mesh_pair): ...

def test_one(mesh): ...

def test_none(): ...
"""


@pytest.mark.parametrize(
    ("arguments", "collected"),
    [(["--mesh-differential=none"], ["test_two", "test_none"]), ([], ["test_one", "test_none"])],
)
def test_meshes_are_compared_alone_or_not_at_all(
    pytester: pytest.Pytester, arguments: list[str], collected: list[str]
) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--collect-only", "-q", *arguments)
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == collected


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--mesh-differential=istoi"], "*--mesh-differential: unknown 'istoi'*did you mean 'istio'*"),
        (["--mesh-differential=reference"], "*'reference' is the implementation itself: name another one*"),
        (["--mesh-differential=none"], "*implementation 'none' cannot stand beside another*"),
    ],
)
def test_a_mesh_that_cannot_stand_beside_another_is_refused_in_one_line(
    pytester: pytest.Pytester, arguments: list[str], line: str
) -> None:
    pytester.makepyfile(TESTS.replace("mesh_pair", "pytestconfig").replace("...", "told(pytestconfig)", 1))
    pytester.makeconftest(
        """
        import builtins
        from pytest_mesh.keys import RUN
        builtins.told = lambda config: config.stash[RUN].other_implementation()
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "test_two", *arguments)
    result.stdout.fnmatch_lines([line])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--mesh-differential=istio", "--mesh-cluster=existing"], "*not on --mesh-cluster=existing*"),
        (["--mesh-differential-cells=0"], "*'0' is no whole number above 0*"),
        (["--mesh-known-differences=nowhere.yaml"], "*no file nowhere.yaml*"),
    ],
)
def test_an_option_that_cannot_be_is_a_usage_error(pytester: pytest.Pytester, arguments: list[str], line: str) -> None:
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_the_reference_beside_another_mesh_is_the_reference() -> None:
    alone, at_the_side = load(SHIPPED["reference"]), load(beside(SHIPPED["reference"]))
    assert (at_the_side.name, at_the_side.images) == (alone.name, alone.images)
    assert at_the_side.namespace == "reference-beside"
    assert object_labels(at_the_side) == {"istio.io/rev": "reference-beside"}
    assert object_labels(alone) == {}


def test_a_file_without_a_neighbour_stands_for_itself() -> None:
    assert beside(SHIPPED["none"]) == SHIPPED["none"]
