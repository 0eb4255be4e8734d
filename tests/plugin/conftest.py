"""A project of a user's, with the fake backend and implementation, for tests that run pytest inside pytest."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import kubernetes  # imported once here, so that no inner run imports it anew
import kubernetes.stream  # noqa: F401
import pytest

import pytest_mesh.namespace
import pytest_mesh.report.bundle
import pytest_mesh.report.command
import pytest_mesh.session  # noqa: F401

CONFTEST = """
import importlib.util, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("fake_cluster", {fake!r})
fake_cluster = importlib.util.module_from_spec(spec)
sys.modules["fake_cluster"] = fake_cluster
spec.loader.exec_module(fake_cluster)
HERE = Path(__file__).parent


def pytest_mesh_backends(config):
    return {{"fake": fake_cluster.FakeBackend(HERE)}}


def pytest_mesh_implementations(config):
    return {{"fake": HERE / "fake.toml"}}
"""

IMPLEMENTATION = """
format = 1
[implementation]
name = "fake"
[install]
already_there = true
[conformance]
features = "all"
convergence_seconds = 2
"""


class Project:
    """A project in pytester's directory."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makeconftest(CONFTEST.format(fake=str(Path(__file__).with_name("fake_cluster.py"))))
        (self.path / "fake.toml").write_text(IMPLEMENTATION)
        pytester.makeini("[pytest]\nmesh_cluster = fake\nmesh_implementation = fake\n")

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process, with no plugin but ours: a quarter of the time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return self.pytester.runpytest_inprocess("-p", "pytest_mesh.plugin", *arguments)

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own, for what concerns processes and imports."""
        return self.pytester.runpytest_subprocess(*arguments, timeout=60)

    @property
    def events(self) -> list[str]:
        path = self.path / "events.log"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in list(os.environ):  # what whoever runs the tests has set is for other runs
        if name == "PYTEST_ADDOPTS" or name.startswith(("PYTEST_MESH_", "MESH_")):
            monkeypatch.delenv(name)
    made = Project(pytester)
    yield made
    pid = made.path / "server.pid"
    if pid.exists():  # a cluster that the test kept
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGTERM)
