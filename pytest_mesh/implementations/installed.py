"""What a run writes on the cluster about the mesh that it installs: which one, from what, by whom, and the objects that it made.

It is written before the first object, so that a run that is killed leaves word.
A later run reads it: the same mesh is not installed twice, half a one is
completed, and what is removed is what was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pytest_mesh.contracts import Json
from pytest_mesh.kube import Kube

LABEL = "pytest-mesh.dev/installation"
"""Label of everything that an installation made; removal takes nothing that does not carry it."""
_NAME = "pytest-mesh"
_SYSTEM = "kube-system"
_GUESTS = "pytest-mesh"
"""Namespace of the record on somebody's cluster, whose system namespaces are no place of ours."""


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
    process: str = ""
    """First process of the run that installed it (``liveness.Process``)."""
    since: str = ""
    """When the installation began (RFC 3339, by the API server's clock); empty where the server did not tell."""


def label_of(implementation: str) -> str:
    """Give the value of ``LABEL`` for an implementation's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", implementation)[:63].strip("-._") or "mesh"


def labels(kube: Kube, implementation: str) -> dict[str, str]:
    """Give the labels of whatever an installation makes; on somebody's cluster its run's, too."""
    return {LABEL: label_of(implementation), **(kube.tenancy.labels() if kube.tenancy is not None else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A ConfigMap: one for a mesh that has the cluster to itself, one for each of those that stand side by side."""

    config_map: str = _NAME
    namespace: str = _SYSTEM

    @classmethod
    def of(cls, implementation: str, *, beside: bool = False, guest: bool = False) -> Record:
        """Give the record of an implementation; ``guest`` = the cluster is somebody's."""
        return cls(config_map=f"{_NAME}-{implementation}" if beside else _NAME, namespace=_GUESTS if guest else _SYSTEM)

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{self.config_map}"

    def read(self, kube: Kube) -> Installed | None:
        """Give what it says, or None where no run installed a mesh. Raises ``KubeError``."""
        found = kube.find(self._path) or {}
        data = found.get("data") or {}
        if "name" not in data:
            return None
        return Installed(
            name=data["name"],
            digest=data.get("digest", ""),
            made=tuple(Made(**one) for one in json.loads(data.get("made", "[]"))),
            kept=data.get("kept") == "true",
            process=data.get("process", ""),
            since=found["metadata"].get("creationTimestamp", ""),
        )

    def write(self, kube: Kube, installed: Installed) -> None:
        """Write it anew. Raises ``KubeError``."""
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": self.config_map,
                    "namespace": self.namespace,
                    "labels": labels(kube, installed.name),
                },
                "data": {
                    "name": installed.name,
                    "digest": installed.digest,
                    "kept": "true" if installed.kept else "false",
                    "process": installed.process,
                    "made": json.dumps([asdict(one) for one in installed.made]),
                },
            }
        )

    def make_room(self, kube: Kube, implementation: str) -> None:
        """Make the record's namespace where it is not there. Raises ``KubeError``."""
        if kube.find(f"/api/v1/namespaces/{self.namespace}") is None:
            metadata = {"name": self.namespace, "labels": labels(kube, implementation)}
            kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def forget(self, kube: Kube) -> Sequence[str]:
        """Remove it, and its namespace where that was made for it; give the paths of what goes. Raises ``KubeError``."""
        kube.delete(self._path)
        room = f"/api/v1/namespaces/{self.namespace}"
        if LABEL not in ((kube.find(room) or {"metadata": {}})["metadata"].get("labels") or {}):
            return [self._path]
        kube.delete(room)
        return [self._path, room]


def any_beside(kube: Kube) -> bool:
    """Whether a mesh is there that was installed to have another one beside it."""
    listed = kube.list(f"/api/v1/namespaces/{_SYSTEM}/configmaps")
    return any(one["metadata"]["name"].startswith(f"{_NAME}-") for one in listed)
