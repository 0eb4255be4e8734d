"""The screenshots in the docs show the page as it is: what they were taken of is what is rendered."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from pytest_mesh import documents
from pytest_mesh.report.verification import problems

sys.path.insert(0, str(Path(__file__).parent))
from shown_runs import PICTURES, RUNS, page_of


@pytest.mark.parametrize("name", RUNS)
def test_a_screenshot_was_taken_of_the_page_as_it_is(name):
    known = json.loads((PICTURES / "screenshots.json").read_text())[name]

    assert hashlib.sha256((PICTURES / f"{name}.png").read_bytes()).hexdigest() == known["picture"]
    assert hashlib.sha256(page_of(name).encode()).hexdigest() == known["page"], "make screenshots"


def test_the_runs_that_are_shown_hold_together_and_end_as_they_are_called():
    found = {name: documents.load((PICTURES / f"{name}.yaml").read_text(), source=name) for name in RUNS}

    assert [problems(one) for one in found.values()] == [[], []]
    assert [one["exitCode"] for one in found.values()] == [0, 1]
