"""One proxy's stream: answers what it asks, pushes what changed, in an order that never breaks traffic.

The stream's state lives here and nowhere else. What the resources hold is the configuration's business, how they are
written the dialect's, and who may connect the server's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.model.snapshot import Change
from mesh_reference.xds import metrics
from mesh_reference.xds.resources import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    NAME_TABLE,
    NAMELESS,
    ROUTE,
    SHORT,
    VIRTUAL_HOST,
    WHOLE_STATE,
    Encoded,
)
from mesh_reference.xds.route_tables import tombstone
from mesh_reference.xds.subscriptions import Asked, Subscription

if TYPE_CHECKING:
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.xds.configuration import Configuration
    from mesh_reference.xds.dialects import Dialect
    from mesh_reference.xds.inbound_sides import Inbound
    from mesh_reference.xds.views import Names

logger = logging.getLogger(__name__)

WARM_SECONDS = 1.0
"""How long routes wait for a proxy to ask for the endpoints of new clusters; then they go out all the same."""
INBOX_LIMIT = 64
"""Requests of a stream that may wait to be read; a proxy that sends more has to wait itself."""

Write = Callable[[bytes], Awaitable[None]]


class Session:
    """Feed it requests and changes from any task of the loop; run ``run`` in one task."""

    def __init__(self, proxy: Proxy, peer: str, dialect: Dialect, configuration: Configuration, write: Write) -> None:
        self.proxy = proxy
        self.peer = peer
        self.dialect = dialect
        self.subscriptions: dict[str, Subscription] = {}
        self._configuration = configuration
        self._next: Configuration | None = None
        self._change = Change()
        self._since = 0.0
        self._write = write
        self._inbox: deque[Any] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._nonces = 0
        self._held: dict[str, Encoded] = {}
        """State of the world only: the clusters that the proxy has, to keep them while routes may still lead there."""
        self._steps: deque[Callable[[], Awaitable[None]]] = deque()
        self._awaited: frozenset[str] = frozenset()
        """New clusters whose endpoints the proxy has not asked for."""
        self._warm_until = 0.0
        self._rewarmed: set[str] = set()
        """Changed clusters: they warm up anew, and may wait for their endpoints though those are the same."""
        self._in_flight: dict[str, tuple[str, ...]] = {}
        """Nonce: virtual hosts of a response that is not answered yet, in the order of responses."""
        self.view_key = configuration.view_key(proxy)
        self._view = configuration.view_of(self.view_key)
        self._own: Inbound = configuration.inbound(proxy)
        self._differing: Names | None = {}
        """By type, the names that the push under way has to look at; None = all."""
        self._plan = (
            ({CLUSTER}, self._push_clusters),
            ({CLUSTER, ENDPOINT}, self._push_endpoints),
            ({LISTENER}, self._push_listeners),
            ({ROUTE}, self._push_routes),
            ({VIRTUAL_HOST}, self._push_hosts),
            ({NAME_TABLE}, self._push_names),
            ({CLUSTER}, self._remove_clusters),
        )
        """Make before break: the steps of a push, and the types that each of them looks at."""

    @property
    def in_step(self) -> bool:
        """Has the proxy acknowledged the newest of everything?"""
        waiting = bool(self._steps) or self._next is not None
        return not waiting and all(item.nonce == item.acked_nonce for item in self.subscriptions.values())

    async def receive(self, request: Any) -> None:
        """Take a request; waits while too many wait already, and with it the proxy."""
        if not self._inbox and self._acknowledges(request):
            return
        self._inbox.append(request)
        self._wake.set()
        if len(self._inbox) >= INBOX_LIMIT:
            self._room.clear()
            await self._room.wait()

    def _acknowledges(self, request: Any) -> bool:
        """Take an ACK that asks for nothing at once: most requests are such, and nobody has to wake for them."""
        subscription = self.subscriptions.get(request.type_url)
        if subscription is None or not self.dialect.acknowledges(subscription, request):
            return False
        self._in_flight.pop(request.response_nonce, None)
        return True

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        self._room.set()

    def notify(self, configuration: Configuration, change: Change, since: float) -> None:
        """A newer configuration is there; changes that come while one is pushed are pushed together after it."""
        if not self._change:
            self._since = since
        self._next = configuration
        self._change |= change
        self._wake.set()

    async def run(self) -> None:
        """Serve until ``close``."""
        while not self._closed:
            await self._sleep()
            while self._inbox and not self._closed:
                await self._answer(self._inbox.popleft())
            self._room.set()
            await self._go_on()

    async def _sleep(self) -> None:
        if not self._awaited:
            await self._wake.wait()
        else:
            try:
                async with asyncio.timeout_at(self._warm_until):
                    await self._wake.wait()
            except TimeoutError:
                names = ", ".join(sorted(self._awaited))
                logger.warning("%s did not ask for the endpoints of %s in time: going on", self.proxy.id, names)
                self._awaited = frozenset()
        self._wake.clear()

    async def _answer(self, request: Any) -> None:
        type_url = request.type_url
        if type_url not in SHORT:
            logger.debug("%s asked for %s, of which there is nothing", self.proxy.id, type_url)
            return
        subscription = self.subscriptions.setdefault(type_url, Subscription(type_url=type_url))
        awaited = subscription.awaits(request.response_nonce)
        if not awaited:
            told = "%s answers %s nonce %r, not outstanding (a replay, or of another stream): no answer"
            logger.warning(told, self.proxy.id, SHORT[type_url].upper(), request.response_nonce)
        asked = self.dialect.receive(subscription, request)
        if awaited and request.HasField("error_detail"):
            metrics.REJECTS.labels(SHORT[type_url]).inc()
            logger.error(
                "%s refused %s version %s: %s",
                self.proxy.id,
                SHORT[type_url].upper(),
                subscription.version,
                request.error_detail.message,
            )
            self._awaited = frozenset()
        if type_url == VIRTUAL_HOST:
            await self._isolate(subscription, request)
        if self._awaited and type_url == ENDPOINT:
            self._awaited -= subscription.names
        if asked is not None:
            await self._respond(subscription, asked)
        if type_url == ROUTE and self.dialect.splits_routes:
            await self._follow_routes(subscription, asked)

    async def _isolate(self, subscription: Subscription, request: Any) -> None:
        """Envoy refuses a whole response for one host in it: send it again in halves, until it is known which one it is."""
        names = self._in_flight.pop(request.response_nonce, ())
        if not request.HasField("error_detail"):
            return
        if len(names) == 1:
            subscription.refused.update(names)
            return
        for half in (names[: len(names) // 2], names[len(names) // 2 :]):
            if found := self._configuration.named(VIRTUAL_HOST, self.proxy, half):
                await self._send(subscription, found, (), {})

    async def _respond(self, subscription: Subscription, asked: Asked) -> None:
        """Answer a request: what it asks for goes out even when it was sent before."""
        found = self._subscribed(subscription, None if asked.everything else asked.names)
        # After a reconnect the delta protocol says what the proxy holds: that need not be sent again. But a cluster that
        # was warming when the stream ended waits for its endpoints even where it holds them, and all clusters wait for it.
        due = subscription.stale(found) if asked.first and subscription.type_url != ENDPOINT else found
        removed = set(subscription.sent) - set(found) if asked.everything else set(asked.names - found.keys())
        await self._send(subscription, due, removed, found)

    async def _follow_routes(self, routes: Subscription, asked: Asked | None) -> None:
        """Envoy asks for virtual hosts once, without names: those of further route configurations go out unasked."""
        hosts = self.subscriptions.get(VIRTUAL_HOST)
        if hosts is None:
            return
        for name in [name for name in hosts.sent if name.partition("/")[0] not in routes.names]:
            del hosts.sent[name]
        if asked is not None and (found := self._view.virtual_hosts(sorted(asked.names))):
            await self._send(hosts, found, (), found)

    async def _go_on(self) -> None:
        """Push as far as possible: the steps of the push under way, then the next one."""
        while not self._closed:
            if self._awaited:
                return
            if self._steps:
                await self._steps.popleft()()
            elif self._next is not None:
                self._begin()
            else:
                return

    def _begin(self) -> None:
        configuration, change = self._next or self._configuration, self._change
        self._configuration, self._next, self._change = configuration, None, Change()
        key, own = configuration.view_key(self.proxy), configuration.inbound(self.proxy)
        view = configuration.view_of(key)
        differing = view.changed_since(self._view.version) if key == self.view_key and not change.full else None
        if differing is not None and own is not self._own:
            differing = dict(differing)
            for type_url in WHOLE_STATE:
                names = frozenset((*self._own.of(type_url), *own.of(type_url)))
                differing[type_url] = differing.get(type_url, frozenset()) | names
        self._differing, self.view_key, self._view, self._own = differing, key, view, own
        self._steps.extend(
            step for concerned, step in self._plan if differing is None or not concerned.isdisjoint(differing)
        )
        since = self._since
        self._steps.append(lambda: self._finish(since))

    def _look_at(self, subscription: Subscription | None) -> Iterable[str] | None:
        """The names of the type that this push may have to send: a few, or all that the proxy holds or shall hold."""
        if subscription is None:
            return ()
        if self._differing is None:
            return None
        names = self._differing.get(subscription.type_url, frozenset())
        return names if subscription.wildcard else names & subscription.names

    async def _push_clusters(self) -> None:
        """New and changed clusters; those that are gone stay until the routes have left them."""
        subscription = self.subscriptions.get(CLUSTER)
        names = self._look_at(subscription)
        if subscription is None or (names is not None and not names):
            return
        found = self._subscribed(subscription, names)
        due = subscription.stale(found)
        if not due:
            return
        new = due.keys() - subscription.sent.keys()
        held: Mapping[str, Encoded] = {}
        if not self.dialect.splits_routes:
            held = self._subscribed(subscription, None)
            held = {**held, **{name: made for name, made in self._held.items() if name not in held}}
        await self._send(subscription, due, (), held)
        endpoints = self.subscriptions.get(ENDPOINT)
        if endpoints is not None:
            for name in due:
                endpoints.sent.pop(name, None)
            self._rewarmed.update(due)
            self._awaited = frozenset(name for name in new if found[name].needs_endpoints) - endpoints.names
            self._warm_until = asyncio.get_running_loop().time() + WARM_SECONDS

    async def _remove_clusters(self) -> None:
        subscription = self.subscriptions.get(CLUSTER)
        names = self._look_at(subscription)
        if subscription is None or (names is not None and not names):
            return
        found = self._subscribed(subscription, names)
        gone = (subscription.sent.keys() if names is None else subscription.sent.keys() & set(names)) - found.keys()
        if gone:
            held = {} if self.dialect.splits_routes else self._subscribed(subscription, None)
            await self._send(subscription, {}, gone, held)

    async def _push_endpoints(self) -> None:
        subscription = self.subscriptions.get(ENDPOINT)
        if subscription is None:
            return
        names = self._look_at(subscription)
        wanted = subscription.names if names is None else {*names, *(self._rewarmed & subscription.names)}
        self._rewarmed = set()
        # A Service that is gone keeps its endpoints as long as its cluster is kept.
        clusters = self._view.clusters
        await self._push_named(subscription, [name for name in wanted if name in clusters])

    async def _push_listeners(self) -> None:
        subscription = self.subscriptions.get(LISTENER)
        names = self._look_at(subscription)
        if subscription is None or (names is not None and not names):
            return
        found = self._subscribed(subscription, names)
        due = subscription.stale(found)
        gone = (subscription.sent.keys() if names is None else subscription.sent.keys() & set(names)) - found.keys()
        if due or gone:
            held = {} if self.dialect.splits_routes else self._subscribed(subscription, None)
            await self._send(subscription, due, gone, held)

    async def _push_routes(self) -> None:
        subscription = self.subscriptions.get(ROUTE)
        names = self._look_at(subscription)
        if subscription is not None:
            names = subscription.names if names is None else names
            if self.dialect.splits_routes:  # the frame of those whose hosts come one by one never changes
                names = [name for name in names if not (name.isdigit() and name in subscription.sent)]
            await self._push_named(subscription, names)

    async def _push_names(self) -> None:
        """After the listeners: an address that nobody listens on yet is told to no application."""
        subscription = self.subscriptions.get(NAME_TABLE)
        if subscription is not None and self._look_at(subscription) != frozenset():
            await self._push_named(subscription, NAMELESS)

    async def _push_hosts(self) -> None:
        """Virtual hosts one by one, all of a push in one response: domains may move from one to another."""
        subscription, routes = self.subscriptions.get(VIRTUAL_HOST), self.subscriptions.get(ROUTE)
        if subscription is None or routes is None:
            return
        names = self._look_at(subscription)
        if names is None:
            found = self._view.virtual_hosts(sorted(routes.names))
            gone = subscription.sent.keys() - found.keys()
        else:
            names = [name for name in names if name.partition("/")[0] in routes.names]
            found = self._configuration.named(VIRTUAL_HOST, self.proxy, names)
            gone = (subscription.sent.keys() & set(names)) - found.keys()
        changed = subscription.stale(found) | self._tombstones(subscription, gone)
        if changed:
            await self._send(subscription, changed, (), {})

    def _tombstones(self, subscription: Subscription, gone: Iterable[str]) -> dict[str, Encoded]:
        """What to send for hosts that are gone, as far as the proxy does not have it already."""
        made = {name: tombstone(name) for name in gone}
        return {name: stone for name, stone in made.items() if subscription.sent.get(name) != stone.version}

    async def _push_named(self, subscription: Subscription, names: Iterable[str]) -> None:
        found = self._subscribed(subscription, names)
        due = subscription.stale(found)
        if due:
            await self._send(subscription, due, (), found)

    async def _finish(self, since: float) -> None:
        metrics.CONVERGENCE.observe(asyncio.get_running_loop().time() - since)

    def _subscribed(self, subscription: Subscription, names: Iterable[str] | None) -> dict[str, Encoded]:
        """What the proxy shall hold of ``names`` (None = of all it subscribed to), by the newest configuration."""
        type_url = subscription.type_url
        if names is None and subscription.wildcard:
            if type_url == VIRTUAL_HOST:
                routes = self.subscriptions.get(ROUTE)
                return self._view.virtual_hosts(sorted(routes.names) if routes else ())
            return self._configuration.all_of(type_url, self.proxy)
        names = subscription.names if names is None else names
        return self._configuration.named(type_url, self.proxy, names, splits=self.dialect.splits_routes)

    async def _send(
        self,
        subscription: Subscription,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],
        held: Mapping[str, Encoded],
    ) -> None:
        """``held`` is needed for the state of the world only."""
        self._nonces += 1
        nonce, version = f"{self._configuration.version}.{self._nonces}", self._configuration.version
        removed = set(removed)
        if removed and subscription.type_url == VIRTUAL_HOST:
            changed, removed = {**changed, **self._tombstones(subscription, removed)}, set()
        if subscription.type_url == VIRTUAL_HOST:
            while self._in_flight and (oldest := next(iter(self._in_flight))) not in subscription.outstanding:
                del self._in_flight[oldest]
            self._in_flight[nonce] = tuple(changed)
            subscription.refused.difference_update(changed)
        response = self.dialect.response(subscription.type_url, version, nonce, changed, removed, held)
        subscription.note_sent(nonce, version)
        for name in removed:
            subscription.sent.pop(name, None)
        subscription.sent.update((made.name, made.version) for made in changed.values())
        if not self.dialect.splits_routes and subscription.type_url in WHOLE_STATE:
            subscription.sent.update((made.name, made.version) for made in held.values())
            if subscription.type_url == CLUSTER:
                self._held = dict(held)
        kind = SHORT[subscription.type_url]
        metrics.PUSHES_OF[kind].inc()
        metrics.SIZES_OF[kind].observe(len(response))
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s %s %s: %d changed, %d removed", self.proxy.id, kind, nonce, len(changed), len(removed))
        await self._write(response)
