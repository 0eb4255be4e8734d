"""Who owns whom, and what garbage collection owes an object.

Pure: a graph fed with metadata, and :func:`decide` over one node's surroundings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_mesh.clusters.local.controllers.discovery import ApiResource
    from pytest_mesh.contracts import Json

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

OwnerState = Literal["solid", "absent", "waiting"]
"""``waiting`` = being deleted in the foreground, until its dependents are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One ownerReference."""

    uid: str
    api_version: str
    kind: str
    name: str
    blocks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One object, as far as ownership goes."""

    uid: str
    resource: ApiResource
    namespace: str
    name: str
    owners: tuple[Owner, ...] = ()
    finalizers: tuple[str, ...] = ()
    deleting: bool = False

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        return self.deleting and ORPHAN in self.finalizers


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do: at most one of these is set."""

    delete: Literal["", "Background", "Foreground", "Orphan"] = ""
    disown: frozenset[str] = field(default_factory=frozenset)
    """Uids of the owners to strike from this object."""
    orphan: tuple[Node, ...] = ()
    """Dependents from which to strike this object, before its finalizer goes."""
    finalizer: str = ""
    """Finalizer to take from this object."""
    visit: tuple[str, ...] = ()
    """Uids of dependents that have to be looked at."""


def node_of(resource: ApiResource, item: Json) -> Node:
    """Read an object's metadata."""
    metadata = item["metadata"]
    return Node(
        uid=metadata["uid"],
        resource=resource,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        owners=tuple(
            Owner(
                uid=entry["uid"],
                api_version=entry["apiVersion"],
                kind=entry["kind"],
                name=entry["name"],
                blocks=bool(entry.get("blockOwnerDeletion")),
            )
            for entry in metadata.get("ownerReferences") or ()
        ),
        finalizers=tuple(metadata.get("finalizers") or ()),
        deleting="deletionTimestamp" in metadata,
    )


def decide(node: Node, dependents: Collection[Node], owners: Mapping[str, OwnerState]) -> Action:
    """Decide over one object; ``owners`` tells the state of each of its owners by uid."""
    if node.orphans_dependents:
        return Action(orphan=tuple(dependents), finalizer=ORPHAN)
    if node.waits_for_dependents:
        blocking = [item for item in dependents if any(owner.uid == node.uid and owner.blocks for owner in item.owners)]
        if not blocking:
            return Action(finalizer=FOREGROUND)
        return Action(visit=tuple(item.uid for item in dependents if not item.deleting))
    if node.deleting or not node.owners:
        return Action()
    states = {owner.uid: owners[owner.uid] for owner in node.owners}
    if "solid" in states.values():
        return Action(disown=frozenset(uid for uid, state in states.items() if state != "solid"))
    if ORPHAN in node.finalizers:
        return Action(delete="Orphan")
    if FOREGROUND in node.finalizers or ("waiting" in states.values() and dependents):
        return Action(delete="Foreground")
    return Action(delete="Background")


class Graph:
    """All known objects by uid, and their dependents."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: defaultdict[str, set[str]] = defaultdict(set)

    def get(self, uid: str) -> Node | None:
        return self._nodes.get(uid)

    def dependents(self, uid: str) -> tuple[Node, ...]:
        return tuple(self._nodes[item] for item in self._dependents.get(uid, ()))

    def of(self, resource: ApiResource) -> tuple[Node, ...]:
        return tuple(node for node in self._nodes.values() if node.resource == resource)

    def put(self, node: Node) -> set[str]:
        """Take a new or changed object; give the uids that have to be looked at."""
        self._unlink(node.uid)
        self._nodes[node.uid] = node
        for owner in node.owners:
            self._dependents[owner.uid].add(node.uid)
        touched = {owner.uid for owner in node.owners if self._waits(owner.uid)}
        if node.owners or node.waits_for_dependents or node.orphans_dependents:
            touched.add(node.uid)
        return touched

    def remove(self, uid: str) -> set[str]:
        """Forget an object; give the uids that have to be looked at: its dependents and owners that wait."""
        node = self._nodes.get(uid)
        touched = set(self._dependents.get(uid, ()))
        if node is not None:
            touched |= {owner.uid for owner in node.owners if self._waits(owner.uid)}
            self._unlink(uid)
            del self._nodes[uid]
        return touched

    def _waits(self, uid: str) -> bool:
        node = self._nodes.get(uid)
        return node is not None and node.waits_for_dependents

    def _unlink(self, uid: str) -> None:
        node = self._nodes.get(uid)
        for owner in node.owners if node is not None else ():
            self._dependents[owner.uid].discard(uid)
            if not self._dependents[owner.uid]:
                del self._dependents[owner.uid]
