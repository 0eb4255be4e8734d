"""Golden files for all of the repository's tests (``golden(name, text)`` compares, ``--update-goldens`` writes), and
hypothesis's profiles.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A gate must not fail by chance: there the examples are the same each time; everywhere else they are new ones. No test is
# a benchmark: a busy machine fails none.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("gate" if os.environ.get("CI") else "here")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="Write the golden files instead of comparing.")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file of that name in ``goldens/`` beside the test."""
    folder = Path(request.path).parent / "goldens"
    update = request.config.getoption("--update-goldens")

    def check(name: str, text: str) -> None:
        path = folder / name
        if update:
            folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.is_file(), f"{path} is missing: run with --update-goldens and read what it writes"
        wanted = path.read_text(encoding="utf-8")
        difference = "".join(
            difflib.unified_diff(
                wanted.splitlines(keepends=True), text.splitlines(keepends=True), str(path), "this run", n=2
            )
        )
        assert not difference, f"differs from the golden (--update-goldens writes it):\n{difference}"

    return check
