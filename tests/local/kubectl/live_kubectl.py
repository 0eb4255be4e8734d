"""kubectl says on the embedded cluster what it said on kind, but for what differences.yaml lists: ``make kubectl-agreement``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import goldens
import scripts

from pytest_mesh.clusters.local import doctor
from pytest_mesh.clusters.local.cluster import LocalCluster

RECORDED = sorted(path.name for path in goldens.ANSWERS.iterdir())
CLIENTS = {version: place for version, place in goldens.clients().items() if version in RECORDED}
SCRIPTS = {script.name: script for script in scripts.scripts()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    doctor.require_local(envoy=False)
    directory = tmp_path_factory.mktemp("cluster") / "kubectl"
    cluster = LocalCluster.start("kubectl", run_dir=directory, lifeline=True)
    try:
        cluster.add_images(scripts.images())
        yield cluster
        for log in (cluster.directory / "logs").glob("*.log"):
            assert "Traceback" not in log.read_text(), f"{log.name}:\n{log.read_text()}"
    finally:
        cluster.down()


def test_a_client_is_there_whose_answers_on_kind_are_kept():
    assert CLIENTS, (
        f"kept are those of kubectl {', '.join(RECORDED)}; found {sorted(goldens.clients())}: see MESH_KUBECTL"
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_kubectl_says_what_it_said_on_kind(client, name, cluster, tmp_path):
    target = scripts.Target(
        kubeconfig=cluster.kubeconfig,
        node="mesh-node",
        kubectl=CLIENTS[client],
        words=(("mesh-node", "NODE"),),
    )
    ours = scripts.played(SCRIPTS[name], target, tmp_path / name)
    kept = goldens.read(client, name)
    assert [one["run"] for one in kept] == SCRIPTS[name].keys(), "the list has changed: make kubectl-goldens"
    known = {one.run: one for one in goldens.known() if one.script == name and one.client in ("", client)}
    assert known.keys() <= {one["run"] for one in kept}, "differences.yaml names steps that are not there"
    found = {one["run"]: goldens.difference(theirs, one) for theirs, one in zip(kept, ours, strict=True)}
    exits = {one["run"]: (theirs["exit"], one["exit"]) for theirs, one in zip(kept, ours, strict=True)}
    faults = [f"$ {run}\n{text}" for run, text in found.items() if text and run not in known]
    faults += [f"$ {run}\nlisted, and does not differ" for run in known if not found[run]]
    for run, one in known.items():
        both = exits[run]
        if found[run] and (one.exit or (both[0], both[0])) != both:
            faults.append(f"$ {run}\nlisted, but with other exit codes: {both}")
    shown = os.environ.get("MESH_KUBECTL_SHOW")
    if shown:
        Path(shown, f"{client}-{name}").write_text("\n\n".join(faults))
    assert not faults, f"{len(faults)} of {len(kept)}:\n\n" + "\n\n".join(faults)
