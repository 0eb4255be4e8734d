"""What the fixture ``mesh_offline`` gives: documents beside the test, or of a running cluster, as a mesh to ask.

It reads nothing itself (``reading``, ``cluster``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_mesh.offline.mesh import Documents, OfflineMesh, offline


class OfflineFixture:
    """Call it with documents; relative paths are looked for beside the test first."""

    def __init__(self, bases: Sequence[Path]) -> None:
        self._bases = tuple(bases)

    def __call__(self, documents: Documents, **options: Any) -> OfflineMesh:
        """Give the mesh of documents; keyword arguments are those of :func:`pytest_mesh.offline.offline`."""
        return offline(documents, **{"bases": self._bases, **options})

    def cluster(
        self,
        *namespaces: str,
        kubeconfig: Path | None = None,
        context: str = "",
        root_namespace: str = "istio-system",
        **options: Any,
    ) -> OfflineMesh:
        """Give the mesh of a running cluster's objects: those of these namespaces and the root's, or of all.

        Of one namespace that is given, requests come from there. See ``offline.cluster``.
        """
        from pytest_mesh.offline.cluster import objects

        found = objects(namespaces, kubeconfig=kubeconfig, context=context, root_namespace=root_namespace)
        own = {"namespace": namespaces[0]} if len(set(namespaces)) == 1 else {}
        told = {"registry_only": found.registry_only, "assume_pods": False, **own, **options}
        return offline(found.documents, root_namespace=root_namespace, **told)
