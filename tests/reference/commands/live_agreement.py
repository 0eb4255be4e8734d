"""2,000 generated requests through real Envoys against what ``refmesh explain`` says. Not among the quick tests.

``make explain-agreement``; the figures stand in docs/commands.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import agreement


@pytest.mark.parametrize("seed", [5, 11, 12])
def test_two_thousand_requests_get_what_explain_says(tmp_path: Path, seed: int) -> None:
    found = agreement.facts(tmp_path, 2000, seed)
    figures = {key: found[key] for key in ("requests", "documents", "kinds", "statuses", "split", "copied", "seconds")}
    print(f"\nseed {seed}: {len(found['differences'])} differences; {figures}")  # noqa: T201
    assert found["differences"] == [], agreement.told(found)
    assert found["lopsided"] == []
    assert found["rejections"] == []
    assert found["requests"] == 2000
    assert min(found["kinds"][kind] for kind in ("cell", "delegate", "gateway", "binding", "rare", "odd")) > 50
