"""Documents of a shop, in a folder as a user has them."""

from __future__ import annotations

from pathlib import Path

import pytest

MANIFESTS = Path(__file__).parents[2] / "examples" / "offline" / "manifests"


@pytest.fixture
def shop() -> Path:
    return MANIFESTS


@pytest.fixture
def texts() -> list[str]:
    """The shop's files as text, to which a test adds documents."""
    return [path.read_text() for path in sorted(MANIFESTS.iterdir())]
