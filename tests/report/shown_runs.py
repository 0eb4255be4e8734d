"""The two runs that the documentation shows: their reports and evidence lie in docs/pictures, as the runs wrote them."""

from __future__ import annotations

from pathlib import Path

from pytest_mesh import documents
from pytest_mesh.report import page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
RUNS = ("passing", "failing")


def page_of(name: str) -> str:
    """Give the page of a run."""
    path = PICTURES / f"{name}.yaml"
    return page.render(documents.load(path.read_text(), source=path.name), page.read_files(PICTURES))
