"""A node that is shut down in good order: its pods have their hooks and their time. `make workloads-live`."""

import contextlib
import time

from cluster_scene import IMAGES, Scene, Space, shell

from pytest_mesh.clusters.local.cluster import LocalCluster


def test_a_shutdown_lets_pods_end_and_does_not_wait_for_those_that_do_not(tmp_path):
    cluster = LocalCluster.start("leaving", run_dir=tmp_path / "leaving")
    try:
        cluster.add_images(IMAGES)
        with contextlib.closing(Scene(cluster)) as scene:
            space = Space(scene, "default")
            scene.until(space.path("serviceaccounts", "default"), lambda account: account is not None)
            last = tmp_path / "last"
            script = "trap 'echo told; exit 0' TERM; while :; do sleep 60 & wait $!; done"
            hook = {"exec": {"command": ["sh", "-c", "echo hook >/proc/1/fd/1"]}}
            space.running("polite", shell(script, lifecycle={"preStop": hook}))
            space.running("deaf", shell("trap '' TERM; while :; do sleep 60; done"), terminationGracePeriodSeconds=30)
            scene.session.close()
        logs = cluster.directory / "logs" / "pods"
        (log,) = logs.glob("default_polite_*/app/0.log")
        last.hardlink_to(log)
        began = time.monotonic()
        cluster.down(grace=3)
        took = time.monotonic() - began
    finally:
        cluster.down()
    said = last.read_text()
    assert said.index("hook") < said.index("told")
    assert 2.5 < took < 15
    assert not cluster.directory.exists()
