"""The backends that the plugin ships, by name. Nothing is imported or started before a cluster is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from pytest_mesh.contracts import Cluster, Json
from pytest_mesh.extras import hint
from pytest_mesh.failures import Infrastructure
from pytest_mesh.hooks import Backend, ClusterRequest

SHARED_NAME = "mesh"
"""Name of the embedded cluster that ``pytest-mesh cluster up`` makes and tests find again."""


class LocalBackend:
    """The embedded cluster."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        found: Cluster | None = _local()[0].LocalCluster.find(request.cluster_name or SHARED_NAME)
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
            f"--mesh-cluster=local needs the extra 'local' ({error}): {hint('local')}; "
            "without it: --mesh-cluster=existing"
        ) from error
    return cluster, doctor


class KindBackend:
    """A cluster in Docker, made by ``kind``."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        from pytest_mesh.clusters.kind import cluster, requirements

        with _as_infrastructure("kind"):
            requirements.require(request.kind_image)
            name = request.cluster_name or _kind_name(SHARED_NAME)
            found: Cluster | None = cluster.KindCluster.find(name, adopt=bool(request.cluster_name))
        return found

    def start(self, request: ClusterRequest) -> Cluster:
        from pytest_mesh.clusters.kind import cluster, requirements

        with _as_infrastructure("kind"):
            requirements.require(request.kind_image)
            return cluster.KindCluster.start(
                request.cluster_name or _kind_name(request.name),
                image=request.kind_image,
                config=request.kind_config,
                lifeline=request.lifeline_pid,
                progress=request.progress,
            )

    def attach(self, handle: Json) -> Cluster:
        from pytest_mesh.clusters.kind import cluster

        with _as_infrastructure("kind"):
            return cluster.KindCluster.attach(handle)


def _kind_name(name: str) -> str:
    """Give a name that is not in other people's way: all kind clusters of a machine share one list."""
    return f"pytest-mesh-{name.removeprefix('pytest-').removeprefix(SHARED_NAME)}".rstrip("-")


@contextmanager
def _as_infrastructure(backend: str) -> Iterator[None]:
    from pytest_mesh.clusters.kind.programs import KindError

    try:
        yield
    except (OSError, KindError) as error:
        raise Infrastructure(f"--mesh-cluster={backend}: {error}") from error


class ExistingBackend:
    """A cluster that a kubeconfig names."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        del request
        return None

    def start(self, request: ClusterRequest) -> Cluster:
        from pytest_mesh.clusters.existing import contexts
        from pytest_mesh.clusters.existing.cluster import ExistingCluster

        assert request.directory is not None  # noqa: S101 - the session gives one
        chosen = contexts.choose(
            request.kubeconfig, request.context or "", told=request.context_told, environ=os.environ
        )
        request.progress(f"cluster: context {chosen.context!r} of {chosen.source}: {chosen.server}")
        return ExistingCluster(
            name=chosen.context,
            kubeconfig=contexts.write(chosen, request.directory),
            registry=request.image_registry,
            tag=request.image_tag,
            pull_secret=request.image_pull_secret,
        )

    def attach(self, handle: Json) -> Cluster:
        from pytest_mesh.clusters.existing.cluster import ExistingCluster

        return ExistingCluster.attach(handle)


def shipped() -> dict[str, Backend]:
    """Give the backends of the plugin itself."""
    return {"local": LocalBackend(), "kind": KindBackend(), "existing": ExistingBackend()}
