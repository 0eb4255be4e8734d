"""Every object in memory, one global resource version, and the events that watches follow.

Stored objects are never changed in place: take a copy, change it, ``put`` it. It does
not validate, default or admit anything, and knows no HTTP.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_mesh.contracts import Json

logger = logging.getLogger(__name__)

HISTORY = 4096
"""Events kept for each resource; a watch that starts below them is answered 410 Expired."""

BACKLOG = 4096
"""Events that may wait for one slow watch before it is closed with 410 Expired."""

TURN = 0.0003
"""Seconds for which watches are served before requests are looked at again."""

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Item:
    """One version of one object, with its encoding kept for each API version that is served."""

    __slots__ = ("_encoded", "name", "namespace", "obj", "version")

    def __init__(self, obj: Json, version: int) -> None:
        metadata = obj["metadata"]
        self.obj = obj
        self.version = version
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata["name"]
        self._encoded: dict[str, bytes] = {}

    def encoded(self, api_version: str, convert: Callable[[Json], Json]) -> bytes:
        """Give the JSON of this object in ``api_version``; ``convert`` makes that form and runs once."""
        data = self._encoded.get(api_version)
        if data is None:
            data = self._encoded[api_version] = orjson.dumps(convert(self.obj))
        return data


class Event:
    """A change: ``item`` is the object after it (for DELETED its last form), ``old`` the one before."""

    __slots__ = ("item", "old", "type")

    def __init__(self, kind: EventType, item: Item, old: Item | None) -> None:
        self.type = kind
        self.item = item
        self.old = old


class _Turns:
    """Lets the subscriptions that are due deliver, TURN seconds at a time, so that requests come in between.

    What is due for long delivers many events at once: the more is written, the less each event costs.
    """

    def __init__(self) -> None:
        self._due: deque[Subscription] = deque()
        self._coming = False

    def add(self, subscription: Subscription) -> None:
        self._due.append(subscription)
        self._come()

    def _come(self) -> None:
        if self._due and not self._coming:
            self._coming = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._coming = False
        end = time.monotonic() + TURN
        while self._due:
            self._due.popleft().run()
            if time.monotonic() >= end:
                break
        self._come()


class Subscription:
    """The events of one resource from a moment on; ``expired`` says why there will be none any more."""

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self.pending: deque[Event] = deque()
        self.expired = ""
        self._waiter: asyncio.Future[None] | None = None
        self._deliver: Callable[[], None] | None = None
        self._due = False

    def follow(self, deliver: Callable[[], None]) -> None:
        """From here on call ``deliver`` soon after a push, once for all that came until then, and wake nobody for it."""
        self._deliver = deliver

    def push(self, event: Event) -> None:
        if len(self.pending) >= BACKLOG:
            self.expire("the watch lagged too far behind")
            return
        self.pending.append(event)
        if self._deliver is None:
            self.wake()
        elif not self._due:
            self._due = True
            self._turns.add(self)

    def run(self) -> None:
        """Deliver what is pending."""
        self._due = False
        if not self.pending or self.expired or self._deliver is None:
            return
        try:
            self._deliver()
        except Exception:
            logger.exception("an event could not be delivered")
            self.expire("an event could not be delivered")

    def leave(self) -> None:
        """Deliver nothing any more."""
        self._deliver = None

    def expire(self, why: str) -> None:
        """End the watch: its client has to list anew."""
        self.expired = why
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, at_most: float) -> None:
        """Return when events are pending, or after ``at_most`` seconds."""
        if self.pending or self.expired:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(at_most, self.wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


class _Shelf:
    """All objects of one resource."""

    __slots__ = ("_order", "changed", "events", "forgotten", "items", "subscriptions")

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self._order: list[tuple[str, str]] = []
        self.events: deque[Event] = deque()
        self.changed = 0
        self.forgotten = 0
        self.subscriptions: set[Subscription] = set()

    def place(self, item: Item) -> Item | None:
        """Put an item where it belongs; gives the one that was there."""
        place = (item.namespace, item.name)
        old = self.items.get(place)
        self.items[place] = item
        if old is None:
            bisect.insort(self._order, place)
        return old

    def take(self, place: tuple[str, str]) -> Item | None:
        """Take an item out; gives it if there was one."""
        old = self.items.pop(place, None)
        if old is not None:
            del self._order[bisect.bisect_left(self._order, place)]
        return old

    def ordered(self, namespace: str) -> list[Item]:
        """Give the items of a namespace ("" = of all) by namespace and name."""
        order, items = self._order, self.items
        if namespace:
            # No name holds the letter 0: all places of the namespace lie between these two.
            first, end = (bisect.bisect_left(order, (name, "")) for name in (namespace, namespace + "\0"))
            order = order[first:end]
        return [items[place] for place in order]


class Store:
    """The objects. ``key`` is ``ResourceInfo.key``: ``pods``, ``deployments.apps``."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._turns = _Turns()
        self.version = 1
        self._stopped = False

    # ------------------------------------------------------------ reading

    def item(self, key: str, namespace: str, name: str) -> Item | None:
        shelf = self._shelves.get(key)
        return None if shelf is None else shelf.items.get((namespace, name))

    def get(self, key: str, namespace: str, name: str) -> Json | None:
        """Give the stored object itself: read it, never change it. ``namespace`` is "" for cluster-wide ones."""
        item = self.item(key, namespace, name)
        return None if item is None else item.obj

    def items(self, key: str, namespace: str = "") -> list[Item]:
        """Give the objects of a namespace ("" = of all), ordered by namespace and name."""
        shelf = self._shelves.get(key)
        if shelf is None:
            return []
        return shelf.ordered(namespace)

    def keys(self) -> Iterator[str]:
        return (key for key, shelf in self._shelves.items() if shelf.items)

    def count(self, key: str) -> int:
        shelf = self._shelves.get(key)
        return 0 if shelf is None else len(shelf.items)

    def changed(self, key: str) -> int:
        """Give the resource version of the last change of ``key``; 0 if there was none."""
        shelf = self._shelves.get(key)
        return 0 if shelf is None else shelf.changed

    # ------------------------------------------------------------ writing

    def put(self, key: str, obj: Json) -> Item:
        """Store ``obj`` (the store's own from here on) under a new resource version, which it writes into it."""
        shelf = self._shelves.setdefault(key, _Shelf())
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        item = Item(obj, self.version)
        old = shelf.place(item)
        self._publish(shelf, Event("ADDED" if old is None else "MODIFIED", item, old))
        return item

    def remove(self, key: str, namespace: str, name: str, *, final: Json | None = None) -> Item | None:
        """Take an object out; watches see its last form (``final``, default: as stored) at a new resource version."""
        shelf = self._shelves.get(key)
        old = None if shelf is None else shelf.take((namespace, name))
        if shelf is None or old is None:
            return None
        self.version += 1
        obj = {**(final if final is not None else old.obj)}
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(self.version)}
        item = Item(obj, self.version)
        self._publish(shelf, Event("DELETED", item, old))
        return item

    def _publish(self, shelf: _Shelf, event: Event) -> None:
        shelf.changed = event.item.version
        shelf.events.append(event)
        while len(shelf.events) > HISTORY:
            shelf.forgotten = shelf.events.popleft().item.version
        for subscription in shelf.subscriptions:
            subscription.push(event)

    # ------------------------------------------------------------ watching

    def oldest(self, key: str) -> int:
        """Give the lowest resource version from which a watch of ``key`` can follow without a gap."""
        shelf = self._shelves.get(key)
        return 0 if shelf is None else shelf.forgotten

    def since(self, key: str, version: int) -> list[Event]:
        """Give the kept events after ``version``; the caller has compared it with :meth:`oldest`."""
        shelf = self._shelves.get(key)
        if shelf is None:
            return []
        found: list[Event] = []
        for event in reversed(shelf.events):
            if event.item.version <= version:
                break
            found.append(event)
        found.reverse()
        return found

    def subscribe(self, key: str) -> Subscription:
        subscription = Subscription(self._turns)
        self._shelves.setdefault(key, _Shelf()).subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, key: str, subscription: Subscription) -> None:
        subscription.leave()
        self._shelves[key].subscriptions.discard(subscription)

    def compact(self) -> int:
        """Forget every event so far, as a restart of kube-apiserver's watch cache does; gives the version from which one can watch.

        Watches that are open end with 410 Expired, and one from any version before is refused.
        """
        self.version += 1
        for shelf in self._shelves.values():
            shelf.events.clear()
            shelf.forgotten = self.version
            for subscription in shelf.subscriptions:
                subscription.expire("The resourceVersion for the provided watch is too old.")
        return self.version

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """End every watch: the server is going down."""
        self._stopped = True
        for shelf in self._shelves.values():
            for subscription in shelf.subscriptions:
                subscription.wake()

    def list(self, key: str, namespace: str = "") -> Sequence[Json]:
        """Give the stored objects themselves, ordered as :meth:`items` orders them: read them, never change them."""
        return [item.obj for item in self.items(key, namespace)]
