"""Hook specifications: how other plugins and conftests add backends, implementations and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from pytest_mesh.contracts import Cluster, Json, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRequest:
    """What a backend is told when a cluster is wanted."""

    name: str
    lifeline_pid: int | None
    """Process whose end must end the cluster (the pytest controller); None = the cluster outlives the run."""
    progress: Progress
    kubeconfig: Path | None = None
    context: str | None = None
    cluster_name: str = ""
    """Name that was asked for; empty = the backend's own choice, for which ``name`` is there."""
    kind_config: Path | None = None
    kind_image: str = ""
    context_told: bool = False
    """Whether ``context`` stood on the command line."""
    directory: Path | None = None
    """A directory (mode 0700) of the run's own, removed at its end."""
    image_registry: str = ""
    image_tag: str = ""
    image_pull_secret: str = ""


class Backend(Protocol):
    """A way to get a cluster. Nothing may be imported or started before a method is called."""

    def find(self, request: ClusterRequest) -> Cluster | None:
        """Give the cluster that is up already and may be used again, or None."""

    def start(self, request: ClusterRequest) -> Cluster:
        """Make a cluster; raises ``failures.Infrastructure`` with one line that says what is missing."""

    def attach(self, handle: Json) -> Cluster:
        """Give the cluster that another process made, from its ``handle()``."""


class FeatureData(Protocol):
    """What the plugin reads of a feature; the catalogue's own rows have more."""

    @property
    def id(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def level(self) -> str: ...


@pytest.hookspec
def pytest_mesh_backends(config: pytest.Config) -> Mapping[str, Backend]:  # type: ignore[empty-body]
    """Give backends by the name that ``--mesh-cluster`` takes."""


@pytest.hookspec
def pytest_mesh_implementations(config: pytest.Config) -> Mapping[str, Path]:  # type: ignore[empty-body]
    """Give implementation files by the name that ``--mesh-implementation`` takes."""


@pytest.hookspec
def pytest_mesh_features(config: pytest.Config) -> Sequence[FeatureData]:  # type: ignore[empty-body]
    """Give the features that this conformance suite can judge; called once, when the first check is collected."""
