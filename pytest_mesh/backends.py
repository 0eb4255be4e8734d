"""The backends that the plugin ships, by name. Nothing is imported or started before a cluster is wanted."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from pytest_mesh.contracts import Cluster, Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.hooks import Backend, ClusterRequest

SHARED_NAME = "mesh"
"""Name of the embedded cluster that ``pytest-mesh cluster up`` makes and tests find again."""


class LocalBackend:
    """The embedded cluster."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        del request
        found: Cluster | None = _local()[0].LocalCluster.find(SHARED_NAME)
        return found

    def start(self, request: ClusterRequest) -> Cluster:
        local, doctor = _local()
        try:
            doctor.require_local()
        except doctor.MissingRequirementError as error:
            raise Infrastructure(str(error)) from error
        lifeline = False if request.lifeline_pid is None else request.lifeline_pid
        try:
            cluster: Cluster = local.LocalCluster.start(name=request.name, lifeline=lifeline, progress=request.progress)
        except (OSError, local.LocalClusterError) as error:
            raise Infrastructure(f"--mesh-cluster=local: {error}; without it: --mesh-cluster=existing") from error
        return cluster

    def attach(self, handle: Json) -> Cluster:
        local, _ = _local()
        try:
            cluster: Cluster = local.LocalCluster.attach(handle)
        except local.LocalClusterError as error:
            raise Infrastructure(f"--mesh-cluster=local: {error}") from error
        return cluster


def _local() -> tuple[ModuleType, ModuleType]:
    """Import the embedded cluster's handle and its doctor."""
    try:
        from pytest_mesh.clusters.local import cluster, doctor
    except ImportError as error:
        raise Infrastructure(
            f"--mesh-cluster=local needs the extra 'local' ({error}): pip install 'pytest-mesh[local]'; "
            "without it: --mesh-cluster=existing"
        ) from error
    return cluster, doctor


class ExistingBackend:
    """A cluster that a kubeconfig names."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        del request
        return None

    def start(self, request: ClusterRequest) -> Cluster:
        from pytest_mesh.clusters.existing import ExistingCluster

        path = request.kubeconfig or Path(os.environ.get("KUBECONFIG", "~/.kube/config")).expanduser()
        if not path.is_file():
            raise Infrastructure(f"--mesh-cluster=existing: no kubeconfig at {path}: name one by --mesh-kubeconfig")
        return ExistingCluster(name=request.context or "existing", kubeconfig=path)

    def attach(self, handle: Json) -> Cluster:
        from pytest_mesh.clusters.existing import ExistingCluster

        return ExistingCluster(name=handle["name"], kubeconfig=Path(handle["kubeconfig"]))


def shipped() -> dict[str, Backend]:
    """Give the backends of the plugin itself."""
    return {"local": LocalBackend(), "existing": ExistingBackend()}
