"""Each row of the feature table that is seen from outside, through a real Envoy (``rows_scene.py``)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCENE = Path(__file__).with_name("rows_scene.py")
ROWS = (
    "M2", "M3", "M5", "M8", "M10", "R1", "R2", "R3", "R4", "R6", "R7", "R8", "R9", "R10", "R12", "R12 attempts 0", "R13", "R17",
    "R18", "R19", "F3", "F7", "F8", "S6", "T5", "T3", "S1 static", "S1 dns", "S2", "D3", "D6", "D7", "D8", "D10", "D12",
    "F5", "F9", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B10", "B12", "B13", "M4", "M6", "M11", "M12", "M13", "M14", "M16",
    "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "R5", "R11", "R14", "R20", "T1", "T2", "T4", "T6", "D2",  "D15", "D15 others",
    "S3", "S4", "S5", "S8", "rejections",
)  # fmt: skip


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("scene")
    argv = ["unshare", "-mn", sys.executable, str(SCENE), str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=SCENE.parent)
    log = directory / "envoy.log"
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{log.read_text()[-2000:] if log.exists() else ''}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("row", ROWS)
def test_the_row_is_seen_from_outside(facts: dict[str, Any], row: str) -> None:
    seen, wanted = facts[row]
    assert seen == wanted


def test_no_row_of_the_scene_is_left_out(facts: dict[str, Any]) -> None:
    assert set(facts) == set(ROWS)
