"""Who owns the cluster: made by the first process that needs it, shared by all, removed by the controller.

Under xdist each worker is a session of its own: a file lock lets one make the
cluster, a handle file tells the others, and only the controller removes it. With
``--mesh-cluster-per-worker`` each has a directory, and so a cluster, to itself. A
failure to make one is remembered, so that it is met once and not by each test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pytest_mesh.backends import SHARED_NAME
from pytest_mesh.clusters.existing.cluster import ExistingCluster
from pytest_mesh.clusters.existing.visit import Visit
from pytest_mesh.contracts import Cluster, Implementation, Progress
from pytest_mesh.failures import Infrastructure
from pytest_mesh.hooks import Backend, ClusterRequest
from pytest_mesh.implementations import installer, removal
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.liveness import Process
from pytest_mesh.options import Options

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh on a cluster."""

    cluster: Cluster
    implementation: Implementation
    kube: Kube


class MeshSession:
    """One process's view of the run's cluster and mesh."""

    def __init__(
        self,
        options: Options,
        backends: Mapping[str, Backend],
        implementation: Implementation,
        progress: Progress,
        *,
        shared: Path,
        controller_pid: int,
        worker: str = "",
    ) -> None:
        self.options = options
        self.implementation = implementation
        self._backend = backends[options.cluster]
        self._progress: Progress = (lambda line: progress(f"{worker}: {line}")) if worker else progress
        self.shared = shared
        """Directory that all processes share which use this cluster."""
        self.worker = worker
        """The worker whose own the cluster is; empty = it is the run's."""
        self._controller_pid = controller_pid
        self._cluster: Cluster | None = None
        self._mesh: Mesh | None = None
        self._visit: Visit | None = None

    @property
    def run(self) -> str:
        """Name of this run, the same in all its processes: it labels what the run makes on somebody's cluster."""
        with self._lock("run"):
            path = self.shared / "run.id"
            if not path.exists():
                _write(path, secrets.token_hex(4))
            return path.read_text()

    def cluster(self) -> Cluster:
        """Give the run's cluster; raises ``Infrastructure``, the same one each time."""
        if self._cluster is None:
            with self._lock("cluster"):
                self._cluster = self._remembered("cluster", self._acquire)
        return self._cluster

    def mesh(self) -> Mesh:
        """Give the run's mesh, installed on its cluster; raises ``Infrastructure``."""
        if self._mesh is None:
            cluster = self.cluster()
            with self._lock("mesh"):
                self._mesh = self._remembered("mesh", lambda: self._install(cluster))
        return self._mesh

    @contextlib.contextmanager
    def turn(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the mesh for one test: beside others, or alone. A test that waits to be alone lets no other pass."""
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        with (self.shared / "mesh.turn").open("a") as turn, (self.shared / "mesh.held").open("a") as held:
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(held, mode)
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield

    def standing(self) -> Cluster:
        """Give the cluster that some process of the run made or found (controller only)."""
        if self._cluster is None:
            self._cluster = self._backend.attach(json.loads((self.shared / "cluster.json").read_text())["handle"])
        return self._cluster

    def release(self, *, failed: bool) -> str:
        """End the run (controller only): remove the cluster, or say in one line how to use and remove the kept one."""
        data = json.loads((self.shared / "cluster.json").read_text())
        cluster = self.standing()
        if isinstance(cluster, ExistingCluster):
            return self._depart(cluster, failed=failed) if (self.shared / "mesh.begun").exists() else ""
        if data["found"]:
            return f"cluster: {cluster.name!r} stays up, as it was found"
        if self.options.keep == "always" or (self.options.keep == "on-failure" and failed):
            kind = cluster.backend == "kind"
            removal = f"{'kind delete cluster' if kind else 'pytest-mesh cluster down'} --name {cluster.name}"
            return (
                f"cluster: {cluster.name!r} is kept: export KUBECONFIG={cluster.kubeconfig}; remove it with: {removal}"
            )
        cluster.down()
        return ""

    def pair(self, other: Implementation) -> tuple[Mesh, Mesh]:
        """Give the run's mesh and another one, side by side on its cluster; raises ``Infrastructure``.

        The other comes first: its definitions of the kinds that both know are the ones that stand.
        """
        cluster = self.cluster()
        with self._lock("mesh"):
            second, first = (
                self._remembered(f"mesh-{index}", lambda one=one: self._install_beside(cluster, one))  # type: ignore[misc]
                for index, one in enumerate((other, self.implementation))
            )
        return first, second

    # ------------------------------------------------------------ inside

    def _install_beside(self, cluster: Cluster, implementation: Implementation) -> Mesh:
        mesh = Mesh(cluster, implementation, Kube.load(cluster.kubeconfig, self.options.context or None))
        installed = self.shared / f"mesh-{implementation.name}.installed"
        if not installed.exists():
            installer.install(cluster, mesh.kube, implementation, self._progress, beside=True)
            _write(installed, implementation.name)
        return mesh

    def _acquire(self) -> Cluster:
        handle = self.shared / "cluster.json"
        if handle.exists():
            return self._backend.attach(json.loads(handle.read_text())["handle"])
        request = self._request()
        kept = request.cluster_name or (f"{SHARED_NAME}-{self.worker}" if self.worker else "")
        cluster = None if self.options.fresh else self._backend.find(dataclasses.replace(request, cluster_name=kept))
        found = cluster is not None
        if cluster is None:
            cluster = self._backend.start(request)
        else:
            self._progress(f"cluster: using {cluster.name!r}, which is up already (--mesh-fresh starts another)")
        _write(handle, json.dumps({"handle": cluster.handle(), "found": found}))
        return cluster

    def close(self) -> None:
        """End what runs in the background of this process."""
        if self._visit is not None:
            self._visit.close()

    def _visiting(self, cluster: ExistingCluster) -> Visit:
        if self._visit is None:
            self._visit = Visit(cluster, run=self.run, controller=self._controller_pid, shared=self.shared)
        return self._visit

    def _arrive(self, cluster: ExistingCluster) -> Mesh:
        """Be a guest on somebody's cluster; raises ``Infrastructure``."""
        visit = self._visiting(cluster)
        begun = self.shared / "mesh.begun"
        if not begun.exists():
            visit.begin(self.implementation, install=self.options.install, progress=self._progress)
            _write(begun, "")
        implementation = visit.fitted(self.implementation)
        installed = self.shared / "mesh.installed"
        if not installed.exists():
            if self.options.install:
                removal.require_removable(implementation)
                process = str(Process.of(self._controller_pid))
                try:
                    installer.install(
                        cluster,
                        visit.installing,
                        implementation,
                        self._progress,
                        process=process,
                        fit=partial(visit.fit, implementation),
                    )
                finally:  # half an installation is removed, too
                    if removal.adopt(visit.installing, implementation, process):
                        _write(self.shared / "mesh.ours", "")
            else:
                installer.expect(visit.kube, implementation, self._progress)
            _write(installed, implementation.name)
        return Mesh(cluster, implementation, visit.kube)

    def _depart(self, cluster: ExistingCluster, *, failed: bool) -> str:
        """End a visit: the run's namespaces first, then the mesh that it installed; say in one line what stays."""
        visit = self._visiting(cluster)
        message = visit.end()
        if not (self.shared / "mesh.ours").exists():
            return message
        if self.options.keep == "always" or (self.options.keep == "on-failure" and failed):
            return "; ".join(filter(None, (message, removal.keep(visit.installing, self.implementation))))
        if others := visit.others():
            stays = f"mesh: {self.implementation.name} stays: other runs have namespaces: {', '.join(others)}"
            return "; ".join(filter(None, (message, stays)))
        removal.remove(visit.installing, cluster.kubeconfig, self.implementation, self._progress)
        return message

    def _install(self, cluster: Cluster) -> Mesh:
        if isinstance(cluster, ExistingCluster):
            return self._arrive(cluster)
        mesh = Mesh(
            cluster,
            self.implementation,
            Kube.load(cluster.kubeconfig, self.options.context or None),
        )
        installed = self.shared / "mesh.installed"
        if not installed.exists():
            installer.install(cluster, mesh.kube, self.implementation, self._progress)
            _write(installed, self.implementation.name)
        return mesh

    def _request(self) -> ClusterRequest:
        keep = self.options.keep != "never"
        own = f"-{self.worker}" if self.worker else ""
        given = self.options.cluster_name and self.options.cluster_name + own
        shared = (SHARED_NAME if keep and not self.options.fresh else f"pytest-{self._controller_pid}") + own
        return ClusterRequest(
            name=given or shared,
            lifeline_pid=None if keep else self._controller_pid,
            progress=self._progress,
            kubeconfig=Path(self.options.kubeconfig) if self.options.kubeconfig else None,
            context=self.options.context or None,
            context_told=self.options.sources["context"] == "flag",
            directory=self.shared,
            image_registry=self.options.image_registry,
            image_tag=self.options.image_tag,
            image_pull_secret=self.options.image_pull_secret,
            cluster_name=given,
            kind_config=Path(self.options.kind_config) if self.options.kind_config else None,
            kind_image=self.options.kind_image,
        )

    def _remembered(self, what: str, make: Callable[[], T]) -> T:
        """Call ``make`` unless it failed before, here or in another process; raises ``Infrastructure``."""
        memo = self.shared / f"{what}.failed"
        if memo.exists():
            raise Infrastructure(memo.read_text())
        try:
            return make()
        except Infrastructure as error:
            _write(memo, str(error))
            raise
        except KubeError as error:
            _write(memo, f"{what}: {error}")
            raise Infrastructure(memo.read_text()) from error

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.shared / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _write(path: Path, text: str) -> None:
    """Write a file so that no other process reads half of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.rename(path)
