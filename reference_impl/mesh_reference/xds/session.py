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
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT, WHOLE_STATE, Encoded
from mesh_reference.xds.subscriptions import Asked, Subscription

if TYPE_CHECKING:
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.xds.configuration import Configuration
    from mesh_reference.xds.dialects import Dialect

logger = logging.getLogger(__name__)

WARM_SECONDS = 1.0
"""How long routes wait for a proxy to ask for the endpoints of new clusters; then they go out all the same."""

Write = Callable[[Any], Awaitable[None]]


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
        self._closed = False
        self._nonces = 0
        self._clusters: dict[str, Encoded] = {}
        """What the proxy was last given, to keep it while routes may still lead there."""
        self._steps: deque[Callable[[], Awaitable[None]]] = deque()
        self._awaited: frozenset[str] = frozenset()
        """New clusters whose endpoints the proxy has not asked for."""
        self._warm_until = 0.0

    @property
    def in_step(self) -> bool:
        """Has the proxy acknowledged the newest of everything?"""
        waiting = bool(self._steps) or self._next is not None
        return not waiting and all(item.nonce == item.acked_nonce for item in self.subscriptions.values())

    def receive(self, request: Any) -> None:
        self._inbox.append(request)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

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
            await self._go_on()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout_at(self._warm_until if self._awaited else None):
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
        asked = self.dialect.receive(subscription, request)
        if request.HasField("error_detail"):
            metrics.REJECTS.labels(SHORT[type_url]).inc()
            logger.error(
                "%s refused %s version %s: %s",
                self.proxy.id,
                SHORT[type_url].upper(),
                subscription.version,
                request.error_detail.message,
            )
            self._awaited = frozenset()
        if type_url == ENDPOINT:
            self._awaited -= subscription.names
        if asked is not None:
            await self._respond(subscription, asked)

    async def _respond(self, subscription: Subscription, asked: Asked) -> None:
        """Answer a request: what it asks for goes out even when it was sent before."""
        found = self._subscribed(subscription, None if asked.everything else asked.names)
        # After a reconnect the delta protocol says what the proxy holds: that need not be sent again.
        due = subscription.stale((made.name, made.version) for made in found.values()) if asked.first else set(found)
        removed = set(subscription.sent) - set(found) if asked.everything else set(asked.names - found.keys())
        await self._send(subscription, {name: found[name] for name in due}, removed, found)

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
        configuration, change = self._next, self._change
        self._next, self._change = None, Change()
        if configuration is None:
            return
        full = change.full or self.proxy.address in change.proxies
        self._configuration = configuration
        if full:
            self._steps.extend((self._push_clusters, self._push_endpoints, self._push_listeners, self._push_routes))
            self._steps.append(self._remove_clusters)
        elif change.endpoints:
            self._steps.append(lambda: self._push_some_endpoints(change.endpoints))
        since = self._since
        self._steps.append(lambda: self._finish(since))

    async def _push_clusters(self) -> None:
        """New and changed clusters; those that are gone stay until the routes have left them."""
        subscription = self.subscriptions.get(CLUSTER)
        if subscription is None:
            return
        found = self._subscribed(subscription, None)
        kept = {name: made for name, made in self._clusters.items() if name not in found}
        due = subscription.stale((made.name, made.version) for made in found.values())
        if not due:
            return
        new = due - self._clusters.keys()
        await self._send(subscription, {name: found[name] for name in due}, (), {**found, **kept})
        endpoints = self.subscriptions.get(ENDPOINT)
        if endpoints is not None:
            # A changed cluster warms up anew, and may wait for its endpoints though they are the same.
            for name in due:
                endpoints.sent.pop(name, None)
            self._awaited = frozenset(name for name in new if found[name].needs_endpoints) - endpoints.names
            self._warm_until = asyncio.get_running_loop().time() + WARM_SECONDS

    async def _remove_clusters(self) -> None:
        subscription = self.subscriptions.get(CLUSTER)
        if subscription is None:
            return
        found = self._subscribed(subscription, None)
        gone = set(subscription.sent) - found.keys()
        if gone:
            await self._send(subscription, {}, gone, found)

    async def _push_endpoints(self) -> None:
        subscription = self.subscriptions.get(ENDPOINT)
        if subscription is not None:
            # A Service that is gone keeps its endpoints as long as its cluster is kept.
            clusters = self._configuration.all_of(CLUSTER, self.proxy)
            await self._push_named(subscription, [name for name in subscription.names if name in clusters])

    async def _push_some_endpoints(self, hosts: frozenset[str]) -> None:
        subscription = self.subscriptions.get(ENDPOINT)
        if subscription is not None:
            names = [name for name in subscription.names if name.rpartition("|")[2] in hosts]
            await self._push_named(subscription, names)

    async def _push_listeners(self) -> None:
        subscription = self.subscriptions.get(LISTENER)
        if subscription is None:
            return
        found = self._subscribed(subscription, None)
        due = subscription.stale((made.name, made.version) for made in found.values())
        gone = set(subscription.sent) - found.keys()
        if due or gone:
            await self._send(subscription, {name: found[name] for name in due}, gone, found)

    async def _push_routes(self) -> None:
        subscription = self.subscriptions.get(ROUTE)
        if subscription is not None:
            await self._push_named(subscription, subscription.names)

    async def _push_named(self, subscription: Subscription, names: Iterable[str]) -> None:
        found = self._subscribed(subscription, names)
        due = subscription.stale((made.name, made.version) for made in found.values())
        if due:
            await self._send(subscription, {name: found[name] for name in due}, (), found)

    async def _finish(self, since: float) -> None:
        metrics.CONVERGENCE.observe(asyncio.get_running_loop().time() - since)

    def _subscribed(self, subscription: Subscription, names: Iterable[str] | None) -> dict[str, Encoded]:
        """What the proxy shall hold of ``names`` (None = of all it subscribed to), by the newest configuration."""
        type_url = subscription.type_url
        if names is None and subscription.wildcard:
            return self._configuration.all_of(type_url, self.proxy)
        return self._configuration.named(type_url, self.proxy, subscription.names if names is None else names)

    async def _send(
        self,
        subscription: Subscription,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],
        held: Mapping[str, Encoded],
    ) -> None:
        self._nonces += 1
        nonce, version = f"{self._configuration.version}.{self._nonces}", self._configuration.version
        removed = set(removed)
        response = self.dialect.response(subscription.type_url, version, nonce, changed, removed, held)
        subscription.note_sent(nonce, version)
        for name in removed:
            subscription.sent.pop(name, None)
        subscription.sent.update((made.name, made.version) for made in changed.values())
        if subscription.type_url in WHOLE_STATE:
            subscription.sent.update((made.name, made.version) for made in held.values())
        if subscription.type_url == CLUSTER:
            self._clusters = dict(held)
        kind = SHORT[subscription.type_url]
        metrics.PUSHES.labels(kind).inc()
        metrics.SIZES.labels(kind).observe(response.ByteSize())
        logger.debug("%s %s %s: %d changed, %d removed", self.proxy.id, kind, nonce, len(changed), len(removed))
        await self._write(response)
