"""The backends that the plugin ships, by name. Nothing is imported or started before a cluster is wanted."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_mesh.contracts import Cluster, Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.hooks import Backend, ClusterRequest

SHARED_NAME = "mesh"
"""Name of the embedded cluster that ``pytest-mesh cluster up`` makes and tests find again."""


class LocalBackend:
    """The embedded cluster."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        del request
        return self._cluster_class().find(SHARED_NAME)  # type: ignore[no-any-return]

    def start(self, request: ClusterRequest) -> Cluster:
        try:
            return self._cluster_class().start(  # type: ignore[no-any-return]
                name=request.name, lifeline=request.lifeline_pid is not None, progress=request.progress
            )
        except (OSError, RuntimeError) as error:
            raise Infrastructure(f"--mesh-cluster=local: {error}") from error

    def attach(self, handle: Json) -> Cluster:
        return self._cluster_class().attach(handle)  # type: ignore[no-any-return]

    def _cluster_class(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        try:
            from pytest_mesh.clusters.local.cluster import LocalCluster
        except ImportError as error:
            raise Infrastructure(
                f"--mesh-cluster=local needs the extra 'local' ({error}): pip install 'pytest-mesh[local]'; "
                "without it: --mesh-cluster=existing"
            ) from error
        return LocalCluster


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
