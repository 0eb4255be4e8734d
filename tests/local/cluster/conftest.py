"""One real cluster for all the tests of this folder, and a namespace for each."""

from __future__ import annotations

import contextlib
import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cluster_scene import IMAGES, Scene, Space

from pytest_mesh.clusters.local import doctor
from pytest_mesh.clusters.local.cluster import LocalCluster

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    doctor.require_local(envoy=False)
    cluster = LocalCluster.start("tested", run_dir=tmp_path_factory.mktemp("cluster") / "tested", lifeline=True)
    try:
        cluster.add_images(IMAGES)
        with contextlib.closing(Scene(cluster)) as scene:
            yield scene
        for log in (cluster.directory / "logs").glob("*.log"):
            assert "Traceback" not in log.read_text(), f"{log.name}:\n{log.read_text()}"
    finally:
        cluster.down()


@pytest.fixture
def space(scene):
    name = f"test-{next(numbers)}"
    scene.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield Space(scene, name)
    scene.call("DELETE", f"/api/v1/namespaces/{name}")
