"""A cluster that does not start leaves nothing, and what cannot be had of one is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mesh.clusters.local import cluster, state
from pytest_mesh.clusters.local.cluster import LocalCluster, LocalClusterError


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_lifeline_that_is_gone_is_named_and_nothing_stays(tmp_path):
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    before = descriptors()

    with pytest.raises(LocalClusterError, match=f"process {gone.pid}, .* is gone"):
        LocalCluster.start("gone", run_dir=tmp_path / "run", lifeline=gone.pid)

    assert descriptors() == before
    assert not (tmp_path / "run").exists()


def test_a_program_that_cannot_be_started_is_said_and_nothing_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.sys, "executable", str(tmp_path / "no-python"))
    before = descriptors()

    with pytest.raises(LocalClusterError, match=r"did not start .*no-python"):
        LocalCluster.start("none", run_dir=tmp_path / "run")

    assert descriptors() == before
    assert not (tmp_path / "run").exists()


def test_logs_that_cannot_be_had_leave_the_reason(tmp_path):
    held = state.State(name="x", pid=1, started=0, port=1)
    (tmp_path / "out").mkdir()

    LocalCluster(tmp_path / "run", held).collect(tmp_path / "out")

    assert "the cluster's logs could not be had" in (tmp_path / "out/cluster.txt").read_text()
