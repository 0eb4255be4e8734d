"""Runs the agreement scene in a network namespace of its own. How many requests, and of which seed, is the caller's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
XDS = HERE.parent / "xds"


def facts(directory: Path, requests: int, seed: int, *more: str) -> dict[str, Any]:
    """What the scene prints; fails with its log when it does not end well."""
    argv = [
        "unshare",
        "-mn",
        sys.executable,
        str(HERE / "agreement_scene.py"),
        str(directory),
        str(requests),
        str(seed),
    ]
    path = os.pathsep.join([str(HERE), str(XDS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*argv, *more], capture_output=True, text=True, timeout=110, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    logs = "".join(log.read_text()[-1500:] for log in directory.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{logs}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(found: dict[str, Any]) -> str:
    """The first differences, for people."""
    return "\n".join(
        f"{item['asked']}\n    {item['problems']}\n    {item['steps']['outcome']}" for item in found["differences"][:5]
    )
