"""What reports say of the oracle is the record of a differential run that held this very oracle, and no more than that."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pytest_mesh import confirming
from pytest_mesh.oracle import confirmation

sys.path.insert(0, str(Path(__file__).parent))
import confirm

SOURCE = '''
"""A module."""
LIMIT = 5
"""What it limits."""

def told(one: int) -> str:
    """Tell it."""
    return f"{one}: " + 'x'  # why
'''
FIGURES = {"meshes": ["reference", "istio"], "cells": 2000, "of": 2000, "judgedByTheOracle": 9, "unexplained": 0, "undecided": 0}  # fmt: skip
PASSED = '<testsuites><testsuite tests="5" failures="0" errors="0" skipped="0"/></testsuites>'


@pytest.mark.parametrize(("cells", "word"), [(1999, "unconfirmed: "), (2000, "confirmed by "), (0, "unconfirmed: ")])
def test_two_thousand_cells_confirm(monkeypatch: pytest.MonkeyPatch, cells: int, word: str) -> None:
    monkeypatch.setattr(confirmation, "CELLS", cells)
    assert confirmation.standing(confirmation.DIGEST).startswith(word)


@pytest.mark.parametrize(
    ("digest", "said"),
    [
        ("other", "unconfirmed: the oracle changed since it was held against istio "),
        (None, "unconfirmed: the oracle's sources cannot be read"),
    ],
)
def test_a_record_of_another_oracle_confirms_nothing(digest: str | None, said: str) -> None:
    assert confirmation.standing(digest).startswith(said)


def test_the_record_names_istio_date_and_commit() -> None:
    for part in (confirmation.ISTIO, confirmation.DATE, confirmation.COMMIT, f"{confirmation.CELLS} cells"):
        assert part in confirming.standing()


def test_the_standing_is_that_of_the_sources_which_lie_here() -> None:
    word = "confirmed by " if confirming.digest() == confirmation.DIGEST else "unconfirmed: "
    assert confirming.standing().startswith(word)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""A module."""', "# another module", True),
        ("    return f", "\n    return  f", True),
        ('"""Tell it."""', '"""Tell it all."""', True),
        ('"""What it limits."""', "", True),
        ("'x'", '"x"', True),
        ("LIMIT = 5", "LIMIT = 5.0", False),
        ("'x'", "'y'", False),
        ("told", "said", False),
        ("one: int", "one: int = 1", False),
    ],
)
def test_the_digest_is_of_what_the_code_does(old: str, new: str, *, same: bool) -> None:
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    assert (confirming.digest_of({"a.py": changed}) == confirming.digest_of({"a.py": SOURCE})) is same


def test_a_module_by_another_name_is_another_oracle() -> None:
    assert confirming.digest_of({"a.py": SOURCE}) != confirming.digest_of({"b.py": SOURCE})


def test_a_passed_run_is_recorded_with_the_oracle_that_it_held() -> None:
    values = confirm.constants(FIGURES, istio="1.99", date="2027-01-02", commit="abc", oracle="d16e57")
    found: dict[str, object] = {}
    exec(confirm.written(confirm.RECORD.read_text(), values), found)
    assert (
        found["standing"]("d16e57")  # type: ignore[operator]
        == "confirmed by istio 1.99, 2000 cells and 200 groups of rivals side by side, 2027-01-02, commit abc"
    )


@pytest.mark.parametrize(
    ("figures", "cases", "said"),
    [
        ({"unexplained": 2}, PASSED, "2 requests are unexplained"),
        ({"undecided": 1}, PASSED, "1 requests are undecided"),
        ({"cells": 200, "of": 200}, PASSED, "200 of 200 cells were run, 2000 are wanted"),
        ({"meshes": ["reference", "reference"]}, PASSED, "not the reference and istio"),
        ({}, PASSED.replace('skipped="0"', 'skipped="1"'), "not every check passed: 5 tests, 0 failures, 0 errors, 1 skipped"),
        ({}, "<testsuites/>", "not every check passed"),
    ],
)  # fmt: skip
def test_a_run_that_is_not_whole_is_not_recorded(figures: dict[str, object], cases: str, said: str) -> None:
    assert confirm.objections(FIGURES, ET.fromstring(PASSED)) == []
    (found,) = confirm.objections({**FIGURES, **figures}, ET.fromstring(cases))
    assert said in found


@pytest.mark.parametrize(
    ("version", "name"), [("v0.0.0-20260827124520-eed52ebb66ad", "master-eed52eb"), ("v1.27.1", "v1.27.1")]
)
def test_istio_is_named_by_the_module_it_was_built_from(version: str, name: str) -> None:
    assert confirm.version_of(f"pilot-discovery: go1.26\n\tmod\tistio.io/istio\t{version}\th1:x=\n") == name
