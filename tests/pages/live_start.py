"""The page "Ten minutes", walked by somebody who has a clone, Python and an empty folder (make pages).

Downloads come from the package index, for a virtual environment of its own. The step
on kind is walked where Docker and kind are there, and said to be left out elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from walking import Reader, steps, unlike  # noqa: E402

ROOT = HERE.parents[1]
PAGE = (ROOT / "docs" / "start.md").read_text()
FAILING = ("sed -i -e 's/weight: 80", "sed -i -e 's/weight: 75", "sed -i -e 's/subset: v3")
"""Each of these breaks the file: the command after it must end with 1."""
KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "PIP_INDEX_URL",
    "PIP_CONFIG_FILE",
    "PIP_CACHE_DIR",
    "SSL_CERT_FILE",
    "MESH_KIND_IMAGE",
    "MESH_IMAGE_BASE",
)


def kind_is_there():
    docker = (
        shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )
    return bool(docker and shutil.which("kind"))


@pytest.fixture
def reader(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    made = Reader(folder, {name: os.environ[name] for name in KEPT if name in os.environ})
    # What is committed, as a newcomer clones it.
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    made.environment["CLONE"] = str(tmp_path / "clone")
    yield made
    subprocess.run([folder / ".venv/bin/pytest-mesh", "cluster", "down"], check=False, timeout=60)


@pytest.mark.timeout(1800)
def test_the_page_holds_word_by_word(reader):
    reader.save(PAGE)
    broken = False
    for step in steps(PAGE):
        if "--mesh-cluster=kind" in step.command and not kind_is_there():
            warnings.warn("start.md: the step on kind was not walked: no Docker or no kind", stacklevel=1)
            continue
        code, said = reader.do(step.command, seconds=900)
        wanted = 1 if broken and step.command.startswith("pytest ") else 0
        assert code == wanted, f"{step.command}: exit code {code}\n{said}"
        assert unlike(step.shown, said) == [], f"{step.command}:\n{said}"
        if step.command.startswith("sed "):
            broken = step.command.startswith(FAILING)
