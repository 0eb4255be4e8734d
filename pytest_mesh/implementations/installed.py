"""What a run writes on the cluster about the mesh that it installed: which one, from what, and the objects that it made.

A later run reads it: the same mesh is not installed twice, and what is removed is what was made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pytest_mesh.contracts import Json
from pytest_mesh.kube import Kube

_NAMESPACE, _NAME = "kube-system", "pytest-mesh"
_CONFIG_MAPS = f"/api/v1/namespaces/{_NAMESPACE}/configmaps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An object that the installation made."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, document: Json) -> Made:
        """Name a document's object."""
        metadata = document["metadata"]
        return cls(
            api_version=document["apiVersion"],
            kind=document["kind"],
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What a record says. ``digest`` tells one content of the file and its manifests from another; empty = not finished."""

    name: str
    digest: str
    made: tuple[Made, ...] = ()
    kept: bool = False
    """Whether its run left it on purpose: no later run removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A ConfigMap: one for a mesh that has the cluster to itself, one for each of those that stand side by side."""

    config_map: str = _NAME

    @classmethod
    def of(cls, implementation: str, *, beside: bool = False) -> Record:
        """Give the record of an implementation."""
        return cls(config_map=f"{_NAME}-{implementation}" if beside else _NAME)

    @property
    def _path(self) -> str:
        return f"{_CONFIG_MAPS}/{self.config_map}"

    def read(self, kube: Kube) -> Installed | None:
        """Give what it says, or None where no run installed a mesh. Raises ``KubeError``."""
        data = (kube.find(self._path) or {}).get("data") or {}
        if "name" not in data:
            return None
        made = tuple(Made(**one) for one in json.loads(data.get("made", "[]")))
        return Installed(name=data["name"], digest=data.get("digest", ""), made=made, kept=data.get("kept") == "true")

    def write(self, kube: Kube, implementation: str, digest: str, made: Sequence[Made], *, kept: bool = False) -> None:
        """Write it anew. Raises ``KubeError``."""
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self.config_map, "namespace": _NAMESPACE},
                "data": {
                    "name": implementation,
                    "digest": digest,
                    "kept": "true" if kept else "false",
                    "made": json.dumps([asdict(one) for one in made]),
                },
            }
        )

    def forget(self, kube: Kube) -> None:
        """Remove it. Raises ``KubeError``."""
        kube.delete(self._path)


def any_beside(kube: Kube) -> bool:
    """Whether a mesh is there that was installed to have another one beside it."""
    return any(one["metadata"]["name"].startswith(f"{_NAME}-") for one in kube.list(_CONFIG_MAPS))
