"""The handle of a cluster that is there already. It starts and removes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_mesh.clusters.existing import image_names, pull_secrets
from pytest_mesh.contracts import Image, Json, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingCluster:
    """Somebody else's cluster. Images come from a registry that its nodes reach."""

    name: str
    """The kubeconfig's context."""
    kubeconfig: Path
    """A file of the run's own that holds this one context."""
    registry: str = ""
    """Where the images of the harness are; empty = the nodes hold them under their own names."""
    tag: str = ""
    pull_secret: str = ""
    """``NAMESPACE/NAME`` of a Secret in the cluster, or a file as ``docker login`` writes it; empty = none is needed."""
    backend: str = "existing"

    def image(self, name: str) -> str:
        """Give the name by which the nodes know an image."""
        return image_names.pulled(name, self.registry, self.tag)

    @property
    def image_pull_secret(self) -> str:
        """Name of the Secret by which pods pull images, in every namespace of the run; empty = none is needed."""
        return pull_secrets.NAME if self.pull_secret else ""

    def renamed(self, documents: Sequence[Json], images: Iterable[str]) -> list[Json]:
        """Give documents with these images' names replaced by the registry's."""
        names = image_names.table(images, self.registry, self.tag)
        return [image_names.renamed(one, names) for one in documents]

    def fitted(self, documents: Sequence[Json], images: Iterable[str]) -> list[Json]:
        """Give documents that install something, with the registry's names and the Secret by which pods pull."""
        found = self.renamed(documents, images)
        return [image_names.with_pull_secret(one, pull_secrets.NAME) for one in found] if self.pull_secret else found

    def add_images(self, images: Mapping[str, Image], progress: Progress) -> None:
        """Do nothing: this cluster pulls its images itself."""
        del images, progress

    def handle(self) -> Json:
        """Give what another process needs."""
        return {
            "name": self.name,
            "kubeconfig": str(self.kubeconfig),
            "registry": self.registry,
            "tag": self.tag,
            "pull_secret": self.pull_secret,
        }

    @classmethod
    def attach(cls, handle: Json) -> ExistingCluster:
        """Give the cluster from what :meth:`handle` gave."""
        return cls(**{**handle, "kubeconfig": Path(handle["kubeconfig"])})

    def collect(self, directory: Path) -> None:
        """Write nothing: there is no backend of ours."""
        del directory

    def down(self) -> None:
        """Leave the cluster alone."""
