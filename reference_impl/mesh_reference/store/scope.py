"""Lets through the events of the namespaces that a control plane knows, and holds the others back until it does.

A Namespace whose labels change brings its objects in or takes them out. Pure; without selectors nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mesh_reference.discovery import Selector, discovers
from mesh_reference.kube.resources import NAMESPACES
from mesh_reference.kube.watching import Event

if TYPE_CHECKING:
    from mesh_reference.kube.resources import Resource

Json = dict[str, Any]


class Scope:
    """The namespaces that are known, and every object that may have to come in later."""

    def __init__(self, selectors: Sequence[Selector]) -> None:
        self._selectors = tuple(selectors)
        self._known: set[str] = set()
        self._objects: dict[str, dict[tuple[str, str], tuple[Resource, Json]]] = {}
        """By namespace, then by resource and name."""

    @property
    def watched(self) -> tuple[Resource, ...]:
        """What must be watched besides."""
        return (NAMESPACES,) if self._selectors else ()

    def take(self, resource: Resource, event: Event) -> Iterator[tuple[Resource, Event]]:
        """Give what an event amounts to: itself, nothing, or the objects of a namespace that comes in or goes out."""
        if not self._selectors or event.kind == "synced":
            yield resource, event
        elif resource == NAMESPACES:
            yield from self._take_namespace(event)
        else:
            metadata = event.object["metadata"]
            namespace = metadata.get("namespace", "")
            if namespace:
                held = self._objects.setdefault(namespace, {})
                key = (resource.plural, metadata["name"])
                if event.kind == "upsert":
                    held[key] = (resource, event.object)
                else:
                    held.pop(key, None)
            if not namespace or namespace in self._known:
                yield resource, event

    def _take_namespace(self, event: Event) -> Iterator[tuple[Resource, Event]]:
        name = event.object["metadata"]["name"]
        known = event.kind == "upsert" and discovers(self._selectors, event.object)
        if known == (name in self._known):
            return
        (self._known.add if known else self._known.discard)(name)
        for resource, found in list(self._objects.get(name, {}).values()):
            yield resource, Event("upsert" if known else "delete", found)
