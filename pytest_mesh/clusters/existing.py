"""A cluster that is there already: named by a kubeconfig, used as it is, never removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_mesh.contracts import Image, Json, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingCluster:
    """Somebody else's cluster. Images come from a registry that its nodes reach."""

    name: str
    kubeconfig: Path
    backend: str = "existing"

    def add_images(self, images: Mapping[str, Image], progress: Progress) -> None:
        """Do nothing: this cluster pulls its images itself."""
        del images, progress

    def handle(self) -> Json:
        """Give what another process needs."""
        return {"name": self.name, "kubeconfig": str(self.kubeconfig)}

    def collect(self, directory: Path) -> None:
        """Write nothing: there is no backend of ours."""
        del directory

    def down(self) -> None:
        """Leave the cluster alone."""
