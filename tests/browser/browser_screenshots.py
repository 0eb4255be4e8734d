"""The screenshots of docs/pictures: a passing and a failing run, as their page looks in Chromium (``make screenshots`` writes them)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
sys.path.insert(0, str(PICTURES.parents[1] / "tests" / "report"))
from shown_runs import RUNS, page_of  # noqa: E402

WIDTH = 900
HEIGHTS = {"passing": 900, "failing": 1500}


@pytest.mark.parametrize("name", RUNS)
def test_screenshots_show_a_page_that_opens(browser, name, tmp_path):
    path = tmp_path / f"{name}.html"
    path.write_text(page_of(name))
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": WIDTH, "height": HEIGHTS[name], "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []

    taken = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"])

    assert taken.startswith(b"\x89PNG")
    assert len(taken) > 20_000  # an empty page is a tenth of it
    if os.environ.get("MESH_SCREENSHOTS"):
        (PICTURES / f"{name}.png").write_bytes(taken)
        record = PICTURES / "screenshots.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        known[name] = {
            "page": hashlib.sha256(path.read_bytes()).hexdigest(),
            "picture": hashlib.sha256(taken).hexdigest(),
        }
        record.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
