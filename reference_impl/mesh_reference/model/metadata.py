"""Object metadata, and the key by which caches tell two states of an object apart. It knows no kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The parts of ``metadata`` that routing depends on. ``created`` is RFC 3339 and sorts as text."""

    name: str
    namespace: str
    created: str = ""
    uid: str = ""
    version: str = ""

    @property
    def age_key(self) -> tuple[str, str, str]:
        """Sorts the oldest first, ties by name, then namespace (B5)."""
        return (self.created, self.name, self.namespace)

    @property
    def ref(self) -> tuple[str, str, str, str]:
        """Differs whenever the object differs: what caches are keyed by."""
        return (self.namespace, self.name, self.uid, self.version)


def read_metadata(obj: Mapping[str, Any]) -> Metadata:
    """The metadata of a Kubernetes object."""
    metadata = obj["metadata"]
    return Metadata(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        created=metadata.get("creationTimestamp") or "",
        uid=metadata.get("uid", ""),
        version=str(metadata.get("resourceVersion", "")),
    )
