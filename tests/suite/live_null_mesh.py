"""The suite against no mesh at all: every check fails, and none is left out. A lane of its own (`make null`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LEFT_OUT = {
    "mesh_conformance/identity/test_operators_settings.py": "extended: they restart a control plane, and there is none",
    "mesh_conformance/identity/test_root_rotation.py": "extended: it restarts a control plane, and there is none",
}
"""Files whose checks cannot be tried where there is no mesh, and why."""


@pytest.mark.timeout(2000)
def test_no_check_passes_where_there_is_no_mesh(tmp_path, capsys):
    report = tmp_path / "report.yaml"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "conformance/mesh_conformance", "-q", "-p", "no:cacheprovider",
            "--mesh-cluster=local", "--mesh-implementation=none", "--mesh-cluster-name=null-mesh",
            f"--mesh-report={report}", f"--mesh-artifacts={tmp_path}/artifacts",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout[-3000:]
    tests = yaml.safe_load(report.read_text())["tests"]
    verdicts: dict[str, list[str]] = {}
    for one in tests:
        verdicts.setdefault(one["verdict"], []).append(one["id"])
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(tests)} checks: {', '.join(f'{len(ids)} {word}' for word, ids in verdicts.items())}\n"
        )
        for word, ids in verdicts.items():
            sys.stdout.writelines(f"  {word}: {one}\n" for one in ids if word != "failed")
    assert len(tests) >= 60
    assert verdicts.get("passed", []) == []
    others = [one for word, ids in verdicts.items() if word != "failed" for one in ids]
    assert [one for one in others if one.partition("::")[0] not in LEFT_OUT] == []
