"""How a cluster starts, is found and ends: nothing of it stays, whoever ended it and however."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from cluster_scene import IMAGES, SLEEP, RefusedError, Scene, Space, ended, shell

from pytest_mesh.clusters.local.cluster import LocalCluster, LocalClusterError

OWNER = """
import json, signal, sys
from pathlib import Path
from pytest_mesh.clusters.local.cluster import LocalCluster
cluster = LocalCluster.start("owned", run_dir=Path(sys.argv[1]), lifeline=True)
print(json.dumps(cluster.handle()), flush=True)
signal.pause()
"""


def host_state():
    """What a cluster must not change on the host: interfaces, mounts, rules, forwarding."""
    return (
        sorted(Path("/sys/class/net").iterdir()),
        Path("/proc/self/mountinfo").read_text(),
        subprocess.run(["iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=True).stdout,
        subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout,
        Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    )


def inside(cluster):
    """Give the pids of the cluster: those of its PID namespace, and its holder."""
    holder = cluster.handle()["pid"]
    child = int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])
    return [holder, *all_below(child)]


def all_below(pid):
    """Give a process and its descendants: containers have PID namespaces of their own."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += all_below(int(child))
    return found


def with_a_pod(cluster):
    """Run a pod in the cluster, and give the cluster's pids."""
    cluster.add_images(IMAGES)
    scene = Scene(cluster)
    try:
        Space(scene, "default").running("runs", shell("ip link >/dev/null; " + SLEEP))
    finally:
        scene.close()
    pids = inside(cluster)
    assert len(pids) >= 5
    return pids


def test_down_leaves_nothing(tmp_path):
    before = host_state()
    cluster = LocalCluster.start("leaves-nothing", run_dir=tmp_path / "run" / "leaves-nothing")
    pids = with_a_pod(cluster)
    assert host_state() == before

    cluster.down()
    cluster.down()

    assert ended(pids, 0.0) == []
    assert not (tmp_path / "run" / "leaves-nothing").exists()
    assert host_state() == before


def test_killing_the_owner_ends_everything_within_two_seconds(tmp_path):
    directory = tmp_path / "owned"
    before = host_state()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, directory], stdout=subprocess.PIPE, text=True)
    try:
        with owner.stdout:
            cluster = LocalCluster.attach(json.loads(owner.stdout.readline()))
        pids = with_a_pod(cluster)
    finally:
        owner.kill()
        owner.wait()

    killed = time.monotonic()
    assert ended(pids, 2.0) == []
    assert not directory.exists()
    assert time.monotonic() - killed < 2.0
    assert host_state() == before
    assert LocalCluster.find("owned", run_dir=directory) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_holder_ends_everything(tmp_path, number):
    cluster = LocalCluster.start("signalled", run_dir=tmp_path / "signalled")
    pids = inside(cluster)

    os.kill(pids[0], number)

    assert ended(pids[1:], 2.0) == []
    cluster.down()
    assert ended(pids[:1], 2.0) == []
    assert not (tmp_path / "signalled").exists()


def test_two_clusters_run_side_by_side_and_do_not_see_each_other(scene, tmp_path):
    other = LocalCluster.start("other", run_dir=tmp_path / "other")
    try:
        second = Scene(other)
        try:
            other.add_images(IMAGES)
            pod = Space(second, "default").running("here", shell(SLEEP))
            assert [item["metadata"]["name"] for item in second.get("/api/v1/pods")["items"]] == ["here"]
            assert pod["status"]["podIP"].startswith("10.244.")
            assert all(item["metadata"]["name"] != "here" for item in scene.get("/api/v1/pods")["items"])
            with pytest.raises(RefusedError, match=r"(?i)unauthorized"):
                call_with(second, scene.token)
        finally:
            second.close()
    finally:
        other.down()
    assert scene.text("/readyz") == "ok"


def call_with(scene, token):
    scene.session.headers["Authorization"] = f"Bearer {token}"
    return scene.get("/api/v1/namespaces")


def test_a_second_cluster_of_the_same_name_is_refused_with_what_to_do(tmp_path):
    cluster = LocalCluster.start("once", run_dir=tmp_path / "once")
    try:
        with pytest.raises(LocalClusterError, match=r"'once' runs already .*pytest-mesh cluster down"):
            LocalCluster.start("once", run_dir=tmp_path / "once")
        found = LocalCluster.find("once", run_dir=tmp_path / "once")
        assert found.handle() == cluster.handle()
        assert LocalCluster.attach(cluster.handle()).kubeconfig == cluster.kubeconfig
    finally:
        cluster.down()
    with pytest.raises(LocalClusterError, match="is gone: start it again"):
        LocalCluster.attach(cluster.handle())


def test_a_directory_that_is_no_clusters_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")

    with pytest.raises(LocalClusterError, match="is not a cluster's run directory"):
        LocalCluster.start("mine", run_dir=tmp_path / "mine")

    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_api_is_ready_when_start_returns(tmp_path):
    said = []
    cluster = LocalCluster.start("ready", run_dir=tmp_path / "ready", progress=said.append)
    try:
        scene = Scene(cluster)
        assert scene.text("/readyz") == "ok"
        names = {each["metadata"]["name"] for each in scene.get("/api/v1/namespaces")["items"]}
        scene.close()
        assert names >= {"default", "kube-system", "kube-public", "kube-node-lease"}
        assert said[0].startswith("cluster: API ready in ")
        assert oct(cluster.directory.stat().st_mode & 0o777) == "0o700"
        assert cluster.kubeconfig.stat().st_mode & 0o077 == 0
    finally:
        cluster.down()


def test_strangers_are_refused(scene):
    import ssl

    context = ssl.create_default_context(cafile=scene.cluster.directory / "ca.crt")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with pytest.raises(urllib.error.HTTPError) as refusal, opener.open(scene.cluster.server + "/api/v1/secrets"):
        pass
    with refusal.value:
        assert refusal.value.code == 401
