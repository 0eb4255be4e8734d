"""What the suite is given and cannot use is told in one line that says what and where; exit code 4."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mesh_conformance.properties import saved_cells
from pytest_mesh.strategies.routes import draw_cells

ROOT = Path(__file__).parents[2]
CELLS = "conformance/mesh_conformance/properties/test_cells.py"


def run(*arguments: str, path: str = CELLS) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", path, "--collect-only", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR: ")]
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, told


def dangle(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


def test_an_unknown_profile_is_one_line():
    line = "ERROR: --hypothesis-profile: unknown profile 'nightli'; this plugin has: ci, nightly"

    assert run("--hypothesis-profile=nightli") == (4, [line])


def test_a_saved_cell_of_another_version_is_one_line_that_names_the_file(tmp_path):
    cell = tmp_path / "cells" / "old.yaml"
    cell.parent.mkdir()
    cell.write_text("format: 2\nhttp: []\nrequests: []\n")

    code, told = run("--hypothesis-profile=nightly", f"--mesh-artifacts={tmp_path}/artifacts")

    reason = "format 2 is another version's, this one reads 1"
    assert (code, told) == (4, [f"ERROR: {cell}: {reason}; delete it, or run the version that wrote it"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http: []\n", "format None is another version's, this one reads 1"),
        ("format: 1\nhttp: []\n", "no cell: KeyError('requests')"),
        ("- a\n", "format None is another version's, this one reads 1"),
        ("{", "the cell: not YAML: "),
        ("format: 1\nhttp: text\nrequests: []\n", "no cell: want mappings in http, and text in requests"),
        ("format: 1\nhttp: [{day: 2020-01-01}]\nrequests: []\n", "no cell: Object of type date is not JSON"),
    ],
)
def test_what_is_no_cell_is_told_with_its_file(tmp_path, text, said):
    (tmp_path / "old.yaml").write_text(text)

    with pytest.raises(pytest.UsageError) as caught:
        saved_cells.load(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/old.yaml: {said}")


@pytest.mark.parametrize(("make", "reason"), [(Path.mkdir, "Is a directory"), (dangle, "No such file or directory")])
def test_what_cannot_be_read_is_told_with_its_file(tmp_path, make, reason):
    make(tmp_path / "x.yaml")

    with pytest.raises(pytest.UsageError) as caught:
        saved_cells.load(tmp_path)

    assert str(caught.value) == f"{tmp_path}/x.yaml: cannot be read as a saved cell: {reason}; remove it"


def test_a_saved_cell_is_read_again(tmp_path):
    (cell,) = draw_cells(1, 3)
    saved_cells.save(tmp_path, cell, "two lines\nof why")

    assert saved_cells.load(tmp_path) == [cell]
