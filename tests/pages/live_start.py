"""The page "Ten minutes", walked by somebody who has a clone, Python and an empty folder (make pages).

Downloads come from the package index, for a virtual environment of its own. The step
on kind is walked where Docker and kind are there, and skipped elsewhere. Where there is no
registry, MESH_KIND_IMAGE and MESH_IMAGE_BASE name images that Docker has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from walking import Reader, steps, unlike  # noqa: E402

ROOT = HERE.parents[1]
INSTALL, ON_KIND = "1. Install", "6. The same on kind"
PAGE = (ROOT / "docs" / "start.md").read_text()
FAILING = ("sed -i -e 's/weight: 80", "sed -i -e 's/weight: 75", "sed -i -e 's/subset: v3")
"""Each of these breaks the file: the command after it must end with 1."""
KEPT = (
    "PATH",
    "DOCKER_HOST",
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


def section(title: str) -> str:
    """Give the part of the page below a heading."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def walk(reader: Reader, text: str) -> None:
    broken = False
    for step in steps(text):
        code, said = reader.do(step.command, seconds=900)
        wanted = 1 if broken and step.command.startswith("pytest ") else 0
        assert code == wanted, f"{step.command}: exit code {code}\n{said}"
        assert unlike(step.shown, said) == [], f"{step.command}:\n{said}"
        if step.command.startswith("sed "):
            broken = step.command.startswith(FAILING)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Somebody who has saved the page's files and done its first section."""
    above = tmp_path_factory.mktemp("newcomer")
    folder = above / "first"
    folder.mkdir()
    made = Reader(folder, {name: os.environ[name] for name in KEPT if name in os.environ})
    # What is committed, as a newcomer clones it.
    subprocess.run(["git", "clone", "-q", str(ROOT), str(above / "clone")], check=True)
    made.environment["CLONE"] = str(above / "clone")
    made.save(PAGE)
    walk(made, section(INSTALL))
    yield made
    subprocess.run([folder / ".venv/bin/pytest-mesh", "cluster", "down"], check=False, timeout=60)


@pytest.mark.timeout(1800)
def test_the_page_holds_word_by_word_on_the_embedded_cluster(reader):
    local, _, _ = PAGE.partition(f"\n## {ON_KIND}\n")

    walk(reader, local.partition(section(INSTALL))[2])


@pytest.mark.timeout(900)
def test_its_last_step_holds_on_kind(reader):
    if not kind_is_there():
        pytest.skip("the step on kind: no Docker or no kind")
    # The files once more as saved: the test is of this page, whatever another test made of them.
    reader.save(PAGE)

    walk(reader, section(ON_KIND))


def test_every_command_of_the_page_is_in_a_part_that_is_walked():
    local = PAGE.partition(f"\n## {ON_KIND}\n")[0]

    assert [*steps(local), *steps(section(ON_KIND))] == steps(PAGE)
    assert steps(section(INSTALL))
