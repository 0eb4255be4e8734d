"""docs/offline.md: its example runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_pages_example_runs_and_is_the_one_in_examples(pytester: pytest.Pytester):
    page = (ROOT / "docs" / "offline.md").read_text()
    files = dict(
        zip(
            ("manifests/reviews.yaml", "manifests/routes.yaml", "test_routes.py"),
            re.findall(r"```(?:yaml|python)\n(.*?)```", page, re.DOTALL),
            strict=True,
        )
    )
    (pytester.path / "manifests").mkdir()
    for name, text in files.items():
        assert text == (ROOT / "examples" / "offline" / name).read_text(), name
        (pytester.path / name).write_text(text)
    pytester.makeini("[pytest]")
    pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=3)
