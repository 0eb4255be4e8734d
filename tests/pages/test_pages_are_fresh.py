"""Pages and pictures that are made from the code are as the code makes them (``make pages-fresh`` writes them)."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
sys.path.insert(0, str(HERE))
import generated_pages  # noqa: E402
import pictures  # noqa: E402

MADE = {
    "options.md": generated_pages.options_page,
    "members.md": generated_pages.members_page,
    "features.md": generated_pages.features_page,
    "pictures/flow.svg": pictures.flow,
    "pictures/pod.svg": pictures.pod,
    "pictures/rotation.svg": pictures.rotation,
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_from_the_code_is_as_the_code_makes_it(name, request):
    path, text = DOCS / name, MADE[name]()
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    assert path.read_text() == text, f"docs/{name} is not as the code says: make pages-fresh"


@pytest.mark.parametrize("name", [name for name in MADE if name.endswith(".svg")])
def test_a_picture_is_xml_with_a_title_and_asks_for_nothing(name):
    text = (DOCS / name).read_text()

    assert ET.fromstring(text).get("aria-label")
    assert "href" not in text
    assert text.count("http://") == 1  # the namespace's name


def test_every_page_is_reached_from_the_index():
    listed = (DOCS / "index.md").read_text()
    names = {path.stem for path in DOCS.glob("*.md")} - {"index"}

    assert {name for name in names if f"\n{name}\n" not in listed} == set()
