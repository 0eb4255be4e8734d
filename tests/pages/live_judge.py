"""The page "Judge your own mesh", its runs that pass: one check, the whole suite, and by name from a package (make pages).

docs/judge-your-own-mesh.md says what comes of wrong descriptions, too: tests/implementations/live_own_mesh.py runs those.
The package is installed beside the environment that runs this, not into it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from claims import CLAIMS, blocks_of  # noqa: E402
from walking import Reader, Step, steps, unlike  # noqa: E402

ROOT = HERE.parents[1]
NAME = "docs/judge-your-own-mesh.md"
PAGE = (ROOT / NAME).read_text()
MINE = "tests/pages/live_judge.py"
BIN = Path(sys.executable).parent


def own_steps() -> list[Step]:
    blocks = [one for one in blocks_of(NAME, PAGE) if [CLAIMS[key] for key in one.claims] == [MINE]]
    return [step for one in blocks for step in steps(f"```console\n{one.body}```")]


@pytest.fixture
def reader(tmp_path):
    folder = tmp_path / "judge"
    beside = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "acme.toml").write_text(re.findall(r"```toml\n(format = 1\n.*?)```", PAGE, re.DOTALL)[0])
    (folder / "acme-mesh").symlink_to(ROOT / "examples" / "acme-mesh")
    made = Reader(folder, {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ})
    made.environment |= {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PIP_TARGET": str(beside),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PYTHONPATH": str(beside),
        "PYTEST_MESH_CLUSTER_NAME": "judged-pages",
    }
    yield made
    subprocess.run([BIN / "pytest-mesh", "cluster", "down", "--name", "judged-pages"], check=False, timeout=60)


@pytest.mark.timeout(3000)
def test_the_runs_that_pass_print_what_the_page_shows(reader):
    found = own_steps()

    assert len(found) == 5
    for step in found:
        code, said = reader.do(step.command, seconds=1500)
        assert code == 0, f"{step.command}: exit code {code}\n{said}"
        assert unlike(step.shown, said) == [], f"{step.command}:\n{said}"
