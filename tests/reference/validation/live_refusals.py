"""The running mesh refuses each bad document in the words of `refmesh validate`, and takes each twin.

Not among the quick tests: it brings up the embedded cluster. ``make validation-live`` runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh_conformance.validation.vectors import NAMESPACE, Vector, all_vectors
from mesh_reference import documents
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors
from pytest_mesh.kube import KubeError

sys.path.insert(0, str(Path(__file__).parent))

from refusals import agrees, said

SERVED = {vector.bad["metadata"]["name"]: vector for vector in all_vectors() if vector.rule != "unknown-kind"}


def agreement(vector: Vector, message: str) -> str:
    """Empty, or how the mesh's words differ."""
    if agrees(said(message), errors(galley.validate(vector.bad))):
        return ""
    ours = [one.text for one in errors(galley.validate(vector.bad))]
    return f"{vector.id}: the mesh says {message!r}, validate says {ours}"


@pytest.mark.mesh_namespace(NAMESPACE)
def test_the_mesh_refuses_each_bad_document_in_the_words_of_validate_and_takes_each_twin(mesh_namespace: Any) -> None:
    problems = []
    for vector in SERVED.values():
        mesh_namespace.kube.apply(vector.good, dry_run=True)
        try:
            mesh_namespace.kube.apply(vector.bad, dry_run=vector.severity == "warning")
        except KubeError as refusal:
            problems.append(agreement(vector, refusal.message))
            if vector.severity == "warning":
                problems.append(f"{vector.id}: refused, and only a warning is due: {refusal.message}")
        else:
            problems.append("" if vector.severity == "warning" else f"{vector.id}: taken")
    assert [problem for problem in problems if problem] == []


@pytest.mark.mesh_namespace(NAMESPACE)
def test_kubectl_apply_prints_the_words_of_validate(mesh_namespace: Any, mesh_cluster: Any, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl on PATH; the test above has asked the API server itself")
    broken = {name: vector for name, vector in SERVED.items() if vector.severity == "error"}
    for name, vector in broken.items():
        (tmp_path / f"{name}.yaml").write_text(documents.dump(vector.bad))
    environment = {**os.environ, "KUBECONFIG": str(mesh_cluster.kubeconfig)}
    problems = []
    for name, vector in broken.items():
        argv = [kubectl, "apply", "-n", NAMESPACE, "-f", str(tmp_path / f"{name}.yaml")]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0, vector.id
        problems.append(agreement(vector, done.stderr))
    assert [problem for problem in problems if problem] == []
