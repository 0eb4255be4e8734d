"""A shared, watch-fed cache of one collection, with subscribers.

Reads one's own writes: :meth:`Informer.absorb` takes the answer of a write, so
that a reconcile never acts twice on what the watch has not yet delivered. Does
no writes of its own and copies nothing: its objects are to be treated as frozen.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, key_of

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

Key = tuple[str, str]
"""(namespace or "", name)."""

Subscriber = Callable[["Json | None", "Json | None"], None]
"""Called with (old, new): new is None for a deletion, old is None for an addition."""

_TOMBSTONES = 4096
"""How many deleted uids are remembered, against a late answer that would bring them back."""


class Informer:
    """The objects at one collection path, kept fresh while :meth:`run` runs."""

    def __init__(self, client: ApiClient, path: str, **params: str) -> None:
        self.path = path
        self.synced = asyncio.Event()
        self._client = client
        self._params = params
        self._items: dict[Key, Json] = {}
        self._by_namespace: defaultdict[str, dict[Key, Json]] = defaultdict(dict)
        self._subscribers: list[Subscriber] = []
        self._buried: deque[str] = deque(maxlen=_TOMBSTONES)
        self._buried_set: set[str] = set()

    @property
    def items(self) -> Mapping[Key, Json]:
        return self._items

    def get(self, key: Key) -> Json | None:
        return self._items.get(key)

    def within(self, namespace: str) -> Iterable[Json]:
        """Give the objects of one namespace, as they are at this moment."""
        return tuple(self._by_namespace[namespace].values())

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have ``subscriber`` called for each change, and for each object that is already here."""
        self._subscribers.append(subscriber)
        for item in tuple(self._items.values()):
            subscriber(None, item)

    def absorb(self, item: Json) -> None:
        """Take the answer of a write, unless the cache already knows something newer."""
        if item["metadata"]["uid"] not in self._buried_set:
            self._put(item)

    async def run(self) -> None:
        """Watch for ever."""
        async for event in self._client.watch(self.path, **self._params):
            if event.type == "SYNCED":
                self.synced.set()
            elif event.type == "DELETED":
                self._remove(event.object)
            else:
                self._put(event.object)

    def _put(self, item: Json) -> None:
        key = key_of(item)
        old = self._items.get(key)
        if old is not None and int(old["metadata"]["resourceVersion"]) >= int(item["metadata"]["resourceVersion"]):
            return
        self._items[key] = item
        self._by_namespace[key[0]][key] = item
        for subscriber in self._subscribers:
            subscriber(old, item)

    def _remove(self, item: Json) -> None:
        key = key_of(item)
        uid = item["metadata"]["uid"]
        if len(self._buried) == _TOMBSTONES:
            self._buried_set.discard(self._buried[0])
        self._buried.append(uid)
        self._buried_set.add(uid)
        old = self._items.get(key)
        if old is None or old["metadata"]["uid"] != uid:
            return
        del self._items[key]
        self._by_namespace[key[0]].pop(key, None)
        for subscriber in self._subscribers:
            subscriber(old, None)
