"""The page "Judge your own mesh" on a real cluster: what it shows of wrong descriptions is what is printed (make own-mesh)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "judge-your-own-mesh.md").read_text()
NAME = "own-mesh"
LABEL = ('revision = "acme"\n', 'revision = "amce"\n')
READY = ('"acme-system/istiod-acme"', '"acme-system/acmed"')
TRUST = ('\ntrust_domain = "acme.example"', '\ntrust_domain = "cluster.local"')
BUNDLE = ('"istio-ca-root-cert"', '"acme-root"')
RUN = ["-m", "pytest", "--pyargs", "mesh_conformance", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]


def edited(text, *changes):
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class Reader:
    """Does in an empty folder what the page says."""

    def __init__(self, folder):
        self.folder = folder
        self.file = re.search(r"```toml\n(format = 1\n.*?)```", PAGE, flags=re.DOTALL)[1]
        self.said = ""

    def call(self, *arguments, code):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=900, check=False
        )
        self.said += done.stdout
        assert done.returncode == code, done.stdout + done.stderr

    def run(self, name, text, checks, *, code):
        (self.folder / name).write_text(text)
        chosen = [f"--mesh-implementation={name}", f"--mesh-cluster-name={NAME}", "-k", checks]
        self.call(*RUN, "--mesh-cluster=local", "--mesh-keep=always", *chosen, code=code)

    def check(self, text, *options, code):
        (self.folder / "wrong.toml").write_text(text)
        self.call("-m", "pytest_mesh.cli", "implementation", "check", "wrong.toml", *options, code=code)


@pytest.fixture
def reader(tmp_path):
    made = Reader(tmp_path)
    yield made
    subprocess.run([sys.executable, "-m", "pytest_mesh.cli", "cluster", "down", "--name", NAME], check=True, timeout=60)


@pytest.mark.timeout(1800)
def test_what_the_page_shows_is_what_is_printed(reader):
    there = re.sub(r"manifests_command = \[.*?\n\]\n", "already_there = true\n", reader.file, flags=re.DOTALL)
    reader.run("there.toml", there, "opt_in", code=10)
    reader.run("acme.toml", reader.file, "opt_in", code=0)
    reader.run("there.toml", there, "opt_in", code=0)
    reader.run("wrong.toml", edited(reader.file, LABEL), "opt_in", code=10)
    reader.run("wrong.toml", edited(reader.file, READY), "opt_in", code=10)
    reader.run("wrong.toml", edited(reader.file, TRUST), "names_the_workload", code=1)
    reader.run("wrong.toml", edited(reader.file, BUNDLE), "leads_to_the_published_root", code=1)
    kubeconfig = subprocess.run(
        [sys.executable, "-m", "pytest_mesh.cli", "cluster", "status", "--name", NAME],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("kubeconfig ")[1]
    cluster = ("--cluster", f"--kubeconfig={kubeconfig.strip()}")
    reader.check(edited(reader.file, TRUST, READY, BUNDLE), *cluster, code=1)
    reader.check(reader.file, *cluster, code=0)

    shown = [
        line
        for line in PAGE.splitlines()
        if re.match(r"(  )?(wrong|there)\.toml:|mesh: |E  |  Inject|[0-9]+ checks", line)
    ]
    file_alone = re.search(r"check wrong.toml\n(.*?)```", PAGE, flags=re.DOTALL)[1].splitlines()
    missing = [
        line
        for line in shown
        if line not in file_alone and "InjectOffline" not in line and plain(line) not in plain(reader.said)
    ]
    assert len(shown) > 12
    assert missing == []


def plain(text):
    """Take out what is another name each time."""
    return re.sub(r"mesh-identity-[0-9a-f]{6}", "mesh-identity-X", text)
