"""Watches: a stream of encoded events, with selectors, bookmarks and the initial events of a watch-list.

An event goes out as soon as the write that made it is answered; one write to the connection carries everything that is
pending. A watch that lags too far or starts too far back ends with 410 Expired, and its client lists anew.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Protocol

import orjson

from pytest_mesh.clusters.local.apiserver import conversion, errors, reading, requests, tables
from pytest_mesh.clusters.local.apiserver.store import Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_mesh.clusters.local.apiserver.reading import Form
    from pytest_mesh.clusters.local.apiserver.requests import Target
    from pytest_mesh.clusters.local.apiserver.selectors import Predicate
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.clusters.local.apiserver.store import Event, Subscription
    from pytest_mesh.contracts import Json

BOOKMARK_EVERY = 30.0
"""Seconds between bookmarks, for clients that allow them."""

LONGEST = 1800.0
"""Seconds that a watch lasts at least if its client does not say; Kubernetes takes up to twice as long."""

INITIAL_END = "k8s.io/initial-events-end"

BATCH = 500
"""Events put into one write at most."""

LAG = 1 << 16
"""Bytes that may wait for a client before its watch waits for it."""

STALLED = 30.0
"""Seconds after which a client that takes nothing is given up."""


class Outlet(Protocol):
    """Where a watch's lines go."""

    def write(self, data: bytes) -> None:
        """Send ``data``, nothing if it is empty; never waits."""

    def waiting(self) -> int:
        """Give how many bytes the client has not taken."""

    async def drain(self) -> None:
        """Wait until the client has taken most of them."""


class Watch:
    """One watch request. Making it checks the request (StatusError); :meth:`run` sends its answer."""

    def __init__(self, server: Server, target: Target, form: Form, query: Mapping[str, str]) -> None:
        self._server = server
        self._info = target.info
        self._namespace = target.namespace
        self._form = form
        self._include = query.get("includeObject", "Metadata")
        self._columns_sent = False
        self._wanted: Predicate | None = reading.predicate(target.info, query, target.name)
        self._bookmarks = requests.is_true(query.get("allowWatchBookmarks", ""))
        self._initial = query.get("sendInitialEvents", "")
        self._initial_end = False
        try:
            self._version = reading.parse_version(query.get("resourceVersion", ""))
        except errors.StatusError as error:
            raise errors.StatusError(500, "", error.message.removeprefix("invalid resource version: ")) from error
        seconds = requests.number(query, "timeoutSeconds")
        self._lasts = float(seconds) if seconds else LONGEST * (1 + random.random())  # noqa: S311 - spreads the load
        self._check(query)

    def _check(self, query: Mapping[str, str]) -> None:
        match = query.get("resourceVersionMatch", "")
        why = ""
        if self._initial and match != "NotOlderThan":
            why = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        elif match and not self._initial:
            why = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        if why:
            field, _, message = why.partition(": ")
            cause = errors.Cause(field=field, message=message, reason="FieldValueForbidden")
            raise errors.invalid("ListOptions", "meta.k8s.io", "", [cause])
        store = self._server.store
        if self._version > store.version:
            raise reading.too_large(self._version, store.version)
        if self._version and not self._initial and self._version < store.oldest(self._info.key):
            raise errors.expired(f"too old resource version: {self._version} ({store.oldest(self._info.key)})")

    async def run(self, outlet: Outlet) -> None:
        """Send the answer; returns when its time is over or the server stops. Raises TimeoutError for a stalled client."""
        store, key = self._server.store, self._info.key
        subscription = store.subscribe(key)
        try:
            deadline = time.monotonic() + self._lasts
            await self._begin(outlet)
            subscription.follow(lambda: self._deliver(outlet, subscription))
            bookmark_at = time.monotonic() + BOOKMARK_EVERY
            while not store.stopped:
                now = time.monotonic()
                if now >= deadline:
                    break
                await subscription.wait(min(deadline, bookmark_at) - now)
                if subscription.expired:
                    outlet.write(_error(errors.expired(subscription.expired)))
                    return
                while subscription.pending:
                    await self._send(outlet, self._taken(subscription))
                if self._bookmarks and time.monotonic() >= bookmark_at:
                    bookmark_at = time.monotonic() + BOOKMARK_EVERY
                    await self._send(outlet, self._bookmark(store.version))
            if self._bookmarks and not subscription.pending:
                outlet.write(self._bookmark(store.version))
        finally:
            store.unsubscribe(key, subscription)

    async def _begin(self, outlet: Outlet) -> None:
        """Send what there is, or what happened since the version that the client has."""
        store, key = self._server.store, self._info.key
        if requests.is_true(self._initial) or (not self._initial and not self._version):
            items, version = store.items(key, self._namespace), store.version
            for start in range(0, len(items), BATCH):
                found = (
                    item for item in items[start : start + BATCH] if self._wanted is None or self._wanted(item.obj)
                )
                await self._send(outlet, b"".join(self._line("ADDED", item) for item in found))
            if requests.is_true(self._initial) and self._bookmarks:
                outlet.write(self._bookmark(version, end=True))
        elif self._version:
            events = store.since(key, self._version)
            await self._send(outlet, b"".join(line for event in events for line in self._event(event)))

    def _deliver(self, outlet: Outlet, subscription: Subscription) -> None:
        """Send what is pending at once if the client keeps up; else leave it to :meth:`run`, which waits for the client."""
        if outlet.waiting() <= LAG:
            outlet.write(self._taken(subscription))
        if subscription.pending:
            subscription.wake()

    def _taken(self, subscription: Subscription) -> bytes:
        """Take what is pending, BATCH events at most, and give its lines."""
        pending = subscription.pending
        if len(pending) == 1:
            return b"".join(self._event(pending.popleft()))
        batch = [pending.popleft() for _ in range(min(len(pending), BATCH))]
        return b"".join(line for event in batch for line in self._event(event))

    @staticmethod
    async def _send(outlet: Outlet, data: bytes) -> None:
        outlet.write(data)
        if outlet.waiting() > LAG:
            async with asyncio.timeout(STALLED):
                await outlet.drain()

    def _event(self, event: Event) -> Iterator[bytes]:
        """Give the line of an event as this watch's selector sees it: leaving the selection is a deletion."""
        item, wanted = event.item, self._wanted
        if self._namespace and item.namespace != self._namespace:
            return
        kind: str = event.type
        if wanted is not None:
            before = event.old is not None and wanted(event.old.obj)
            after = event.type != "DELETED" and wanted(item.obj)
            if not before and not after:
                return
            kind = "ADDED" if not before else "MODIFIED" if after else "DELETED"
            if kind == "DELETED" and event.type != "DELETED" and event.old is not None:
                # It left the selection: it is shown as it last was in it, in the version in which it left.
                was = event.old.obj
                metadata = {**was["metadata"], "resourceVersion": str(item.version)}
                item = Item({**was, "metadata": metadata}, item.version)
        yield self._line(kind, item)

    def _line(self, kind: str, item: Item) -> bytes:
        head = b'{"type":"' + kind.encode() + b'","object":'
        if not self._form.kind:
            return head + reading.encoded(item, self._info) + b"}\n"
        obj = conversion.served(item.obj, self._info)
        if self._form.kind == reading.PARTIAL:
            return head + orjson.dumps(reading.partial(obj)) + b"}\n"
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        shown = tables.table(self._info, [obj], metadata, include=self._include, columns=not self._columns_sent)
        self._columns_sent = True
        return head + orjson.dumps(shown) + b"}\n"

    def _bookmark(self, version: int, *, end: bool = False) -> bytes:
        metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
        if end:
            metadata["annotations"] = {INITIAL_END: "true"}
        kind, api_version = self._info.kind, self._info.api_version
        if self._form.kind:
            kind, api_version = self._form.kind, reading.META_VERSION
        obj: Json = {"kind": kind, "apiVersion": api_version, "metadata": metadata}
        if self._form.kind == "Table":
            row = {"cells": [], "object": {"kind": reading.PARTIAL, "apiVersion": api_version, "metadata": metadata}}
            obj = {**obj, "metadata": {"resourceVersion": str(version)}, "columnDefinitions": None, "rows": [row]}
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"


def _error(error: errors.StatusError) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": error.to_json()}) + b"\n"
