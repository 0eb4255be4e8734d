"""The handle of a kind cluster: make it, find it, load images, save its logs, remove it.

The ``kind`` program does the work. It speaks no Kubernetes; for that there is
the kubeconfig, a file of the cluster's own: the user's stays as it is.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from pytest_mesh.clusters.kind import images, logs, reaper, state
from pytest_mesh.clusters.kind.programs import DELETE_SECONDS, KindError, find, follow, output
from pytest_mesh.contracts import Image, Json, Progress
from pytest_mesh.extras import hint

_READY_SECONDS: Final = 180


class KindCluster:
    """A running kind cluster (a ``contracts.Cluster``)."""

    backend: str = "kind"

    def __init__(self, held: state.State) -> None:
        self.name = held.name
        self.owned = held.owned
        self.directory = state.directory_of(held.name)
        self.kubeconfig = self.directory / "kubeconfig"
        self._pytest_kind: Any = None

    @classmethod
    def start(
        cls,
        name: str,
        *,
        image: str = "",
        config: Path | None = None,
        lifeline: int | None = None,
        progress: Progress = lambda _: None,
    ) -> Self:
        """Make a cluster; returns when its nodes are ready.

        ``image`` is the node image (empty = kind's own), ``config`` kind's own
        file. The end of process ``lifeline`` ends the cluster; None = it outlives
        all. Raises KindError when there is one of that name or the start fails.
        """
        began = time.monotonic()
        with state.lock(name) as directory:
            if name in names():
                raise KindError(
                    f"a kind cluster {name!r} is there already: use it by --mesh-cluster-name={name} without "
                    f"--mesh-fresh, or remove it: kind delete cluster --name {name}"
                )
            state.remove(directory)
            held = state.State(name=name, owned=True)
            state.write(directory, held)
            if lifeline is not None:
                watcher, started = reaper.start(name, lifeline)
                held = replace(held, reaper=watcher, reaper_started=started)
                state.write(directory, held)
            cluster = cls(held)
            argv = ["kind", "create", "cluster", "--name", name, "--kubeconfig", str(cluster.kubeconfig)]
            argv += ["--wait", f"{_READY_SECONDS}s", *(["--image", image] if image else [])]
            argv += ["--config", str(config)] if config else []
            progress(f"cluster: kind makes {name!r}{f' from {image}' if image else ''}")
            try:
                follow(
                    argv,
                    lambda line: _tell(line, progress),
                    started=lambda pid: state.write(directory, replace(held, creating=pid)),
                )
            except BaseException:
                cluster.down()
                raise
            state.write(directory, held)
        progress(f"cluster: API ready in {time.monotonic() - began:.1f} s")
        return cluster

    @classmethod
    def find(cls, name: str, *, adopt: bool = False) -> Self | None:
        """Give the running cluster of that name; one that is not this plugin's only with ``adopt``.

        Waits for another run that makes it. Raises KindError when its nodes are stopped.
        """
        with state.lock(name) as directory:
            if name not in names():
                return None
            held = state.read(directory)
            if held is None and not adopt:
                return None
            if held is None:
                held = state.State(name=name, owned=False)
                state.write(directory, held)
            cluster = cls(held)
            if held.creating:  # nobody else holds the name: whoever made it was killed
                cluster.down()
                return None
            if not output("docker", "ps", "--quiet", "--filter", f"label=io.x-k8s.kind.cluster={name}").strip():
                raise KindError(
                    f"the kind cluster {name!r} is stopped: docker start {name}-control-plane, "
                    f"or remove it: kind delete cluster --name {name}"
                )
            output("kind", "export", "kubeconfig", "--name", name, "--kubeconfig", str(cluster.kubeconfig))
        return cluster

    @classmethod
    def attach(cls, handle: Json) -> Self:
        """Give a cluster from what :meth:`handle` gave; KindError when it is gone."""
        held = state.read(state.directory_of(handle["name"]))
        if held is None:
            raise KindError(f"cluster {handle['name']!r} is gone: start it again")
        return cls(held)

    def add_images(self, images_: Mapping[str, Image], progress: Progress = lambda _: None) -> None:
        """Build images, once per content, and load them, once per cluster. Raises KindError."""
        if not images_:
            return
        with state.lock(self.name) as directory, state.lock("images"):
            ids = images.build(images_, progress)
            images.load(self.name, directory, ids, progress)

    def image_ids(self) -> Mapping[str, str]:
        """Give the images that were added, by name, with Docker's id."""
        return state.loaded(self.directory)

    def handle(self) -> Json:
        """Give what :meth:`attach` needs, in this or another process."""
        return {"backend": self.backend, "name": self.name, "kubeconfig": str(self.kubeconfig)}

    def collect(self, directory: Path) -> None:
        """Write the logs of the nodes and their pods below ``directory``; never raises."""
        shutil.rmtree(directory / "kind", ignore_errors=True)
        try:
            logs.export(self.name, directory / "kind")
        except (KindError, OSError) as error:
            with contextlib.suppress(OSError):
                (directory / "kind.txt").write_text(f"kind's logs could not be had: {error}\n")

    def down(self) -> None:
        """Remove the cluster, unless it is somebody else's, and what is known of it. Idempotent."""
        if self.owned and self.name in names():
            output(
                *("kind", "delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig)),
                seconds=DELETE_SECONDS,
            )
        held = state.read(self.directory)
        if held is not None:
            reaper.stop(held.reaper, held.reaper_started)
        state.forget(self.directory)

    @property
    def pytest_kind(self) -> Any:
        """pytest-kind's ``KindCluster`` for this cluster (extra ``kind``).

        Raises KindError where pytest-kind is not installed. Its own
        ``port_forward`` takes ten seconds and its ``delete`` takes the cluster
        from under other tests: leave both.
        """
        if self._pytest_kind is None:
            try:
                import pytest_kind
            except ImportError as error:
                raise KindError(f"pytest-kind is not installed ({error}): {hint('kind')}") from error
            kubectl = shutil.which("kubectl")
            with contextlib.chdir(self.directory):  # it makes a directory of its own where it stands
                given = pytest_kind.KindCluster(
                    self.name,
                    kubeconfig=self.kubeconfig,
                    kind_path=Path(find("kind")),
                    kubectl_path=Path(kubectl) if kubectl else None,
                )
            given.path = self.directory / given.path
            if not kubectl:
                given.kubectl_path = self.directory / given.kubectl_path
            given.create()  # finds the cluster, and makes the client behind its ``api``
            self._pytest_kind = given
        return self._pytest_kind


def names() -> list[str]:
    """Give the names of all kind clusters of this Docker."""
    return output("kind", "get", "clusters").split()


def _tell(line: str, progress: Progress) -> None:
    """Pass on where kind is: of its two lines per step the first, without ornament."""
    if line.startswith("•"):
        step = re.sub(r"[^\w)]+$", "", line.removeprefix("•").strip())
        progress(f"cluster: kind: {step}")
