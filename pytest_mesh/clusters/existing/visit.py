"""A run's visit to somebody's cluster: what is asked before the first test, and what is left after the last.

Each process of a run makes one; ``begin`` is called by the first that needs
the mesh, ``end`` by the controller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pytest_mesh.clusters.existing import access, pull_secrets
from pytest_mesh.clusters.existing.bounds import Bounds
from pytest_mesh.clusters.existing.cluster import ExistingCluster
from pytest_mesh.contracts import Implementation, Json, Progress
from pytest_mesh.kube import Kube

_SWEPT = "existing.swept"


class Visit:
    """One process's part in it."""

    def __init__(self, cluster: ExistingCluster, *, run: str, controller: int, shared: Path) -> None:
        self._kube = Kube.load(cluster.kubeconfig)
        self._cluster = cluster
        self._run = run
        self._swept = shared / _SWEPT
        self._bounds = Bounds(self._kube, run=run, controller=controller, pull_secret=cluster.pull_secret)
        self.kube = self._kube.within(self._bounds, guarded=True)
        """For tests: it changes nothing that is not the run's own."""
        self.installing = self._kube.within(self._bounds, guarded=False)
        """For an installation that was asked for."""

    def begin(self, implementation: Implementation, *, install: bool, progress: Progress) -> None:
        """Check the account's rights and remove what dead runs of it left. Raises ``Infrastructure``."""
        access.require(self._kube, install=install)
        for line in access.optional(self._kube, implementation):
            progress(f"mesh: {line}")
        self._swept.write_text("\n".join(self._bounds.sweep(progress)))

    def fitted(self, implementation: Implementation) -> Implementation:
        """Give the implementation without what this account may not read."""
        if not access.root_missing(self._kube, implementation):
            return implementation
        return dataclasses.replace(implementation, root_secret=("", "", ""))

    def fit(self, implementation: Implementation, documents: Sequence[Json]) -> list[Json]:
        """Give an installation's documents with the registry's images, and with the Secret by which its pods pull them."""
        found = self._cluster.fitted(documents, implementation.images)
        if not self._cluster.pull_secret:
            return found
        secret = pull_secrets.read(self._kube, self._cluster.pull_secret)
        places = dict.fromkeys(one["metadata"].get("namespace") for one in found if _runs_pods(one))
        secrets = [{**secret, "metadata": {**secret["metadata"], "namespace": place}} for place in places if place]
        first = [one for one in found if one["kind"] == "Namespace"]
        return [*first, *secrets, *(one for one in found if one["kind"] != "Namespace")]

    def others(self) -> list[str]:
        """Give the namespaces of other runs: somebody may be using the mesh."""
        return self._bounds.others()

    def end(self) -> str:
        """Remove what the run still has and wait until it is gone; say in one line what is kept. Raises ``Infrastructure``."""
        swept = self._swept.read_text().split() if self._swept.exists() else []
        kept = self._bounds.clear(swept)
        if not kept:
            return ""
        return (
            f"cluster: kept: namespaces {', '.join(kept)}; "
            f"remove them with: kubectl delete namespace -l pytest-mesh.dev/run={self._run}"
        )

    def close(self) -> None:
        """End what runs in the background."""
        self._bounds.close()


def _runs_pods(document: Json) -> bool:
    return document["kind"] == "Pod" or "template" in (document.get("spec") or {})
