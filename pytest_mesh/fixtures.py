"""The public fixtures (docs/fixtures.md). They ask the run's session; nothing happens before a test asks one of them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mesh.keys import RECORDS, RUN

if TYPE_CHECKING:
    from pytest_mesh.contracts import Cluster, Implementation
    from pytest_mesh.namespace import MeshNamespace
    from pytest_mesh.offline.fixture import OfflineFixture
    from pytest_mesh.record import Record
    from pytest_mesh.run import Run
    from pytest_mesh.session import Mesh
    from pytest_mesh.settings import MeshSettings
    from pytest_mesh.snapshots import MeshState


class RunningMesh:
    """What the fixture ``mesh`` gives: the mesh on its cluster."""

    def __init__(self, mesh: Mesh, run: Run) -> None:
        self._mesh = mesh
        self._run = run

    @property
    def cluster(self) -> Cluster:
        """The running cluster."""
        return self._mesh.cluster

    @property
    def implementation(self) -> Implementation:
        """What the implementation's file says."""
        return self._mesh.implementation

    @property
    def kube(self) -> Any:
        """Client of the cluster's API (``pytest_mesh.kube.Kube``)."""
        return self._mesh.kube

    def needs(self, *keys: str) -> None:
        """End the test as not applicable, with the reason, where the implementation's file leaves a key empty."""
        from pytest_mesh.inspection import need

        need(self.implementation, *keys)

    @contextmanager
    def namespace(
        self,
        name: str,
        *,
        settings: MeshSettings,
        record: Record,
        inject: bool = True,
        bases: tuple[Path, ...] = (),
        keep: Callable[[], bool] = lambda: False,
    ) -> Iterator[MeshNamespace]:
        """Make a namespace, injected unless ``inject`` is False; it is removed at the end unless ``keep()``.

        What it holds is saved first when the block raises.
        """
        from pytest_mesh.lifetime import made_namespace
        from pytest_mesh.namespace import MeshNamespace

        labels = dict(self.implementation.injection_labels) if inject else {}
        record.monitor = self._run.monitor
        with made_namespace(self._mesh.kube, name, labels, keep=keep):
            namespace = MeshNamespace(
                name,
                cluster=self.cluster,
                kube=self._mesh.kube,
                implementation=self.implementation,
                settings=settings,
                record=record,
                bases=bases,
            )
            try:
                yield namespace
            except Exception as error:
                self._run.rescue(namespace, error)
                raise


@pytest.fixture(scope="session")
def mesh_settings(pytestconfig: pytest.Config) -> MeshSettings:
    """Settings of the checks: plain data; override this fixture to change one thing."""
    from pytest_mesh.settings import MeshSettings

    options = pytestconfig.stash[RUN].options
    return MeshSettings(
        split_delta=options.split_delta,
        alpha=options.split_alpha,
        beta=options.split_beta,
        split_cap=options.split_cap,
        seed=options.seed,
    )


@pytest.fixture(scope="session")
def mesh_cluster(pytestconfig: pytest.Config) -> Cluster:
    """The running cluster: ``kubeconfig``, ``backend``, ``name``."""
    return pytestconfig.stash[RUN].session().cluster()


@pytest.fixture(scope="session")
def mesh(pytestconfig: pytest.Config) -> RunningMesh:
    """The mesh installed on the cluster: ``implementation``, ``cluster``, ``namespace(...)``."""
    run = pytestconfig.stash[RUN]
    return RunningMesh(run.session().mesh(), run)


@pytest.fixture(scope="session")
def mesh_pair(pytestconfig: pytest.Config) -> tuple[RunningMesh, RunningMesh]:
    """The implementation and the one of ``--mesh-differential``, side by side on the cluster."""
    run = pytestconfig.stash[RUN]
    if not run.options.differential:
        raise pytest.UsageError("mesh_pair: two meshes are there with --mesh-differential=NAME|FILE only")
    first, second = run.session().pair(run.other_implementation())
    return RunningMesh(first, run), RunningMesh(second, run)


@pytest.fixture
def mesh_offline(request: pytest.FixtureRequest) -> OfflineFixture:
    """A mesh that is documents alone: ``mesh_offline("manifests/").get("http://reviews")``. No cluster, no privilege."""
    from pytest_mesh.offline.fixture import OfflineFixture

    return OfflineFixture(_bases(request))


@pytest.fixture
def mesh_evidence(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Takes facts that go into the report: ``mesh_evidence(key=value, ...)``."""
    return _record(request.node).facts


@pytest.fixture(scope="module")
def mesh_state(request: pytest.FixtureRequest, mesh: RunningMesh) -> Iterator[MeshState]:
    """The cluster as this file found it: at the file's end what changed since is undone; ``restore()`` does it before.

    With ``--mesh-keep`` it is not undone where namespaces are kept.
    """
    from pytest_mesh.snapshots import kept_state

    run = request.config.stash[RUN]
    failed = request.session.testsfailed

    def keep() -> bool:
        kept = run.options.keep
        return kept == "always" or (kept == "on-failure" and request.session.testsfailed > failed)

    with kept_state(mesh.cluster, mesh.kube, mesh.implementation, sharers=run.sharers, keep=keep) as state:
        yield state


@pytest.fixture
def mesh_namespace(
    request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings
) -> Iterator[MeshNamespace]:
    """A namespace of the test's own, injected; removed after the test. ``@pytest.mark.mesh_namespace(name)`` names it."""
    item = request.node
    marker = item.get_closest_marker("mesh_namespace")
    if marker is not None and mesh.cluster.backend == "existing":
        raise pytest.UsageError(
            f"{item.nodeid}: mesh_namespace({marker.args[0]!r}) fixes a name; on --mesh-cluster=existing "
            "namespaces have names of the run's own"
        )
    name = str(marker.args[0]) if marker is not None else _name(item.originalname or item.name)
    with _namespace(request, mesh, mesh_settings, name) as namespace:
        yield namespace


@pytest.fixture
def mesh_outside(
    request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings
) -> Iterator[MeshNamespace]:
    """A second namespace of the test's own, not injected: what runs there is outside the mesh."""
    item = request.node
    with _namespace(
        request, mesh, mesh_settings, _name(item.originalname or item.name, "outside"), inject=False
    ) as one:
        yield one


@contextmanager
def _namespace(
    request: pytest.FixtureRequest, mesh: RunningMesh, settings: MeshSettings, name: str, *, inject: bool = True
) -> Iterator[MeshNamespace]:
    item = request.node
    run = request.config.stash[RUN]
    bases = _bases(request)
    keep = partial(run.keeps, item)
    with mesh.namespace(
        name, settings=settings, record=_record(item), inject=inject, bases=bases, keep=keep
    ) as namespace:
        item.stash[RECORDS].namespaces.append(namespace)
        yield namespace


def _bases(request: pytest.FixtureRequest) -> tuple[Path, ...]:
    """Give the folders of relative paths: the test's own, the project's, the one where pytest was called."""
    config = request.config
    return tuple(dict.fromkeys((request.node.path.parent, config.rootpath, config.invocation_params.dir)))


def _record(item: pytest.Item) -> Record:
    return item.stash[RECORDS].record


def _name(test: str, prefix: str = "mesh") -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_")).strip("-")[:30].rstrip("-")
    return f"{prefix}-{slug or 'test'}-{secrets.token_hex(3)}"
