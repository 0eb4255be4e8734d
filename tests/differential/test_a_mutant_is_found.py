"""A wrong mesh beside a right one: the comparison finds it by the generated cells, and its aspects say what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_mesh import documents
from pytest_mesh.differential.answers import Answer
from pytest_mesh.differential.findings import contrast
from pytest_mesh.differential.shares import compare
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.routes import draw_cells

CELLS = 40
DRAWN = 400
"""Requests that the shares of an explanation stand for."""
CLIENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client", "namespace": "shop", "labels": {"app": "client", "version": "client"}},
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells as manifests, and their requests."""
    made = tmp_path_factory.mktemp("cells")
    cells = draw_cells(CELLS, 3)
    found = [cell.virtual_service(f"cell-{index}", f"cell-{index}.test") for index, cell in enumerate(cells)]
    services = [
        {**one, "metadata": {**one["metadata"], "namespace": "shop"}}
        for one in (*found, *cast.documents("shop"), CLIENT)
    ]
    (made / "mesh.yaml").write_text(documents.write(*services))
    requests = [
        {
            "url": f"http://{sent.authority.replace('{host}', f'cell-{index}.test').removesuffix(':80')}{sent.path}",
            "headers": [f"{name}: {value}" for name, value in sent.headers],
            "method": sent.method,
        }
        for index, cell in enumerate(cells)
        for sent in cell.requests
        if sent.authority == "{host}"
    ]
    (made / "requests.json").write_text(json.dumps(requests))
    return made


def explained(directory: Path, *mutant: str) -> list[Counter[Answer]]:
    """Give the answers to every request as samples."""
    script = Path(__file__).parent / "explained_cells.py"
    done = subprocess.run(
        [sys.executable, str(script), str(directory), *mutant], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [sample(answers) for answers in json.loads(done.stdout)]


def sample(answers: list[dict[str, Any]]) -> Counter[Answer]:
    found: Counter[Answer] = Counter()
    for one in answers:
        aspects = tuple(sorted((name, json.dumps(value)) for name, value in one.items() if name != "share"))
        found[Answer(aspects=aspects)] += round(DRAWN * one["share"])
    return +found


@pytest.fixture(scope="module")
def right(directory: Path) -> list[Counter[Answer]]:
    """The reference's answers."""
    return explained(directory)


def differences(one: list[Counter[Answer]], other: list[Counter[Answer]]) -> Counter[str]:
    found = Counter[str]()
    for left, right_ in zip(one, other, strict=True):
        if compare(left, right_).decision == "different":
            found.update(contrast(left, right_).keys())
    return found


def test_a_mesh_does_not_differ_from_itself(right: list[Counter[Answer]]) -> None:
    assert len(right) > 4 * CELLS
    assert not differences(right, right)


@pytest.mark.parametrize("mutant", ["method-ignored"])
def test_a_mutant_differs(directory: Path, right: list[Counter[Answer]], mutant: str) -> None:
    found = differences(right, explained(directory, mutant))
    assert found["cluster"] or found["status"]
