"""Records what kubectl prints on kind: ``make kubectl-goldens`` (Docker, kind; MESH_KIND_IMAGE, MESH_IMAGE_BASE, MESH_KUBECTL)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import goldens
import scripts

from pytest_mesh.clusters.kind.cluster import KindCluster
from pytest_mesh.clusters.kind.images import base_image

NAME = os.environ.get("MESH_KUBECTL_CLUSTER", "pytest-mesh-kubectl")
"""Name of the kind cluster; one that is there already is used and stays."""


@pytest.fixture(scope="module")
def target():
    cluster = KindCluster.find(NAME, adopt=True)
    made = cluster is None
    if cluster is None:
        cluster = KindCluster.start(
            NAME, image=os.environ.get("MESH_KIND_IMAGE", ""), lifeline=os.getpid(), progress=print
        )
    try:
        for image in scripts.images():
            dockerfile = f'FROM {base_image()}\nENTRYPOINT ["python3"]\nLABEL kubectl-tests={image}\n'
            subprocess.run(["docker", "build", "-q", "-t", image, "-"], input=dockerfile.encode(), check=True)
            subprocess.run(["kind", "load", "docker-image", "--name", NAME, image], check=True)
        yield lambda kubectl: scripts.Target(
            kubeconfig=cluster.kubeconfig,
            node=f"{NAME}-control-plane",
            kubectl=kubectl,
            words=((f"{NAME}-control-plane", "NODE"),),
        )
    finally:
        if made:
            cluster.down()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("client", goldens.clients())
def test_kubectl_is_recorded_on_kind(client, target, tmp_path):
    kubectl = goldens.clients()[client]
    chosen = os.environ.get("MESH_KUBECTL_LISTS", "").split()
    for script in scripts.scripts():
        if not chosen or script.name in chosen:
            goldens.write(client, script.name, scripts.played(script, target(kubectl), tmp_path / script.name))
    told = subprocess.run(
        [kubectl, "version", "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(target(kubectl).kubeconfig)},
        capture_output=True,
        text=True,
        check=True,
    )
    versions = json.loads(told.stdout)
    kept = {side: versions[f"{side}Version"]["gitVersion"] for side in ("client", "server")}
    (goldens.ANSWERS / client / "versions.json").write_text(json.dumps(kept, indent=1) + "\n")
