"""A kind cluster's life, with programs that only pretend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pytest_mesh.backends import KindBackend
from pytest_mesh.clusters.kind import reaper, state
from pytest_mesh.clusters.kind.cluster import KindCluster
from pytest_mesh.clusters.kind.programs import KindError
from pytest_mesh.contracts import Cluster, HoldsImages
from pytest_mesh.hooks import ClusterRequest
from pytest_mesh.liveness import start_time


def request_for(name="mesh", **fields):
    return ClusterRequest(name=name, lifeline_pid=None, progress=lambda _: None, **fields)


def wait(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cluster_is_made_and_removed_with_all_that_is_known_of_it(programs, lines, tmp_path):
    cluster = KindCluster.start("one", image="node:v1", config=tmp_path / "kind.yaml", progress=lines.append)

    assert isinstance(cluster, Cluster)
    assert isinstance(cluster, HoldsImages)
    assert cluster.kubeconfig.read_text() == "kubeconfig"
    assert cluster.directory.stat().st_mode & 0o777 == 0o700
    (call,) = programs.called("kind create")
    assert f"--kubeconfig {cluster.kubeconfig} --wait 180s --image node:v1 --config {tmp_path}/kind.yaml" in call
    assert lines[1] == "cluster: kind: Preparing nodes"

    cluster.down()
    cluster.down()

    assert programs.called("kind delete") == [f"kind delete cluster --name one --kubeconfig {cluster.kubeconfig}"]
    assert list(cluster.directory.parent.iterdir()) == []


def test_a_cluster_of_that_name_is_not_taken_over(programs):
    (programs.directory / "clusters" / "one").touch()

    with pytest.raises(KindError, match="is there already: use it by --mesh-cluster-name=one"):
        KindCluster.start("one")
    assert not programs.called("kind create")
    assert not programs.called("kind delete")


def test_a_refusal_of_kind_is_told_in_one_line_and_nothing_is_left(programs):
    (programs.directory / "refuse").write_text("could not find a log line\nStack Trace:\nmain.go")

    with pytest.raises(KindError, match=r"kind create cluster: exit code 1: ERROR: failed .* log line$") as error:
        KindCluster.start("one")
    assert "\n" not in str(error.value)
    assert not state.directory_of("one").exists()


@pytest.fixture
def interruptible():
    """Give Ctrl-C its meaning back: a shell starts background jobs with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_kind_works_removes_what_it_began(programs):
    (programs.directory / "slow").touch()
    timer = threading.Thread(
        target=lambda: (wait((programs.directory / "creating").exists), os.kill(os.getpid(), signal.SIGINT))
    )
    timer.start()

    with pytest.raises(KeyboardInterrupt):
        KindCluster.start("one")
    timer.join()
    assert not state.directory_of("one").exists()


def test_a_cluster_is_found_by_its_state_and_one_without_only_where_it_is_named(programs):
    (programs.directory / "clusters" / "other").touch()
    KindCluster.start("one")

    assert KindCluster.find("one").owned
    assert KindCluster.find("none") is None
    assert KindCluster.find("other") is None
    adopted = KindCluster.find("other", adopt=True)
    adopted.down()

    assert not adopted.owned
    assert not programs.called("kind delete")


def test_a_stopped_cluster_is_said_to_be_so(programs):
    KindCluster.start("one")
    (programs.directory / "stopped").touch()

    with pytest.raises(KindError, match="'one' is stopped: docker start one-control-plane"):
        KindCluster.find("one")


def test_one_whose_maker_was_killed_is_removed_and_not_found(programs):
    KindCluster.start("one")
    state.write(state.directory_of("one"), state.State(name="one", owned=True, creating=2**22 + 1))

    assert KindCluster.find("one") is None
    assert programs.called("kind delete")


def test_another_process_attaches_by_the_handle(programs):
    cluster = KindCluster.start("one")

    assert KindCluster.attach(cluster.handle()).kubeconfig == cluster.kubeconfig
    cluster.down()
    with pytest.raises(KindError, match="'one' is gone"):
        KindCluster.attach(cluster.handle())


def test_the_end_of_the_run_ends_the_cluster(programs):
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    cluster = KindCluster.start("one", lifeline=owner.pid)
    held = state.read(cluster.directory)
    assert start_time(held.reaper) == held.reaper_started

    owner.kill()
    owner.communicate()

    wait(lambda: not (programs.directory / "clusters" / "one").exists())
    wait(lambda: not cluster.directory.exists())
    reaper.stop(held.reaper, held.reaper_started)


def test_removing_the_cluster_ends_its_watcher(programs):
    cluster = KindCluster.start("one", lifeline=os.getpid())
    held = state.read(cluster.directory)

    cluster.down()

    assert start_time(held.reaper) is None


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (request_for("mesh"), "pytest-mesh"),
        (request_for("pytest-4711"), "pytest-mesh-4711"),
        (request_for("mine", cluster_name="mine"), "mine"),
    ],
)
def test_the_name_is_out_of_other_peoples_way_unless_it_is_given(programs, wanted, name):
    assert KindBackend().start(wanted).name == name
