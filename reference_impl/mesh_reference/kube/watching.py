"""List and watch for ever: turns the API's lists, watches, bookmarks, 410s and broken connections into one event stream.

It keeps only the keys it has seen, so that what vanished between two lists is told as deleted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import aiohttp

from mesh_reference.errors import ApiFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mesh_reference.kube.resources import Resource

logger = logging.getLogger(__name__)

Json = dict[str, Any]

FIRST_RETRY = 0.05
LAST_RETRY = 5.0
"""Seconds between attempts to list again: doubled after each failure in a row."""
GIVE_UP_AFTER = 0.8
"""With pauses of this many seconds a type that the server does not have counts as empty."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change. ``synced`` comes after every complete list, with an empty object."""

    kind: Literal["upsert", "delete", "synced"]
    object: Json


class Gone(Exception):  # noqa: N818  the API's own word
    """410: the resource version is too old, list again."""


class Requester(Protocol):
    """The two calls of ``Kube`` that a watch needs."""

    async def request(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> Json: ...

    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109
    ) -> aiohttp.ClientResponse: ...


def selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    """The query parameters for the selectors that are set."""
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in pairs.items() if value}


def items(resource: Resource, answer: Json) -> list[Json]:
    """The objects of a list, with the type that a list's items lack."""
    typed = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [{**typed, **item} for item in answer.get("items") or []]


async def watch(
    requester: Requester, resource: Resource, namespace: str | None, params: Mapping[str, str]
) -> AsyncIterator[Event]:
    """Yield every object, then ``synced``, then changes; on any trouble list again and yield the difference.

    A resource type that is not served (no CRD yet) or not allowed counts as empty until it is: ``synced`` comes all the
    same, so that nobody waits for ever. What was known before stays.
    """
    path = resource.path(namespace)
    known: dict[tuple[str, str], str] = {}
    synced = False
    pause = FIRST_RETRY
    while True:
        try:
            answer = await requester.request("GET", path, params=params)
        except ApiFailure as error:
            logger.warning("cannot list %s, next attempt in %.2f s: %s", resource.plural, pause, error)
            if error.status in {403, 404} and pause >= GIVE_UP_AFTER and not synced:
                synced = True
                yield Event("synced", {})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_RETRY)
            continue
        pause = FIRST_RETRY
        listed = {_key(item): item for item in items(resource, answer)}
        for key in known.keys() - listed.keys():
            yield Event("delete", {"metadata": {"namespace": key[0], "name": key[1], "uid": known[key]}})
        for item in listed.values():
            yield Event("upsert", item)
        known = {key: item["metadata"].get("uid", "") for key, item in listed.items()}
        synced = True
        yield Event("synced", {})
        version = answer["metadata"].get("resourceVersion", "")
        try:
            async for event in _changes(requester, path, params, version):
                key = _key(event.object)
                if event.kind == "delete":
                    known.pop(key, None)
                else:
                    known[key] = event.object["metadata"].get("uid", "")
                yield event
        except Gone:
            logger.debug("the watch of %s is too old, listing again", resource.plural)
        except (ApiFailure, aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: a line without end
            logger.warning("the watch of %s broke, listing again: %s", resource.plural, error or type(error).__name__)
            await asyncio.sleep(FIRST_RETRY)


async def _changes(requester: Requester, path: str, params: Mapping[str, str], version: str) -> AsyncIterator[Event]:
    """Watch from ``version`` on; a watch that the server ends in order goes on where it stopped."""
    # Reads may be silent for long; only connecting has a limit.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    while True:
        query = {**params, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        before = version
        try:
            response = await requester.open("GET", path, params=query, timeout=timeout)
        except ApiFailure as error:
            if error.status == 410:
                raise Gone from error
            raise
        async with response:
            async for line in response.content:
                if not line.strip():
                    continue
                kind, obj = _read(line, path)
                if kind == "ERROR":
                    if obj.get("code") == 410:
                        raise Gone
                    raise ApiFailure(f"watch {path}: {obj.get('message')}", status=obj.get("code", 0), body=obj)
                version = obj["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    yield Event("delete", obj)
                elif kind != "BOOKMARK":
                    yield Event("upsert", obj)
        if version == before:
            # A server that closes at once must not be asked in a tight loop.
            await asyncio.sleep(FIRST_RETRY)


def _read(line: bytes, path: str) -> tuple[str, Json]:
    """A line's type and object. Raises ApiFailure when it is no event of a watch."""
    try:
        message = json.loads(line)
        kind, obj = message["type"], message["object"]
        if kind != "ERROR":
            _ = obj["metadata"]["resourceVersion"], kind == "BOOKMARK" or obj["metadata"]["name"]
        elif not isinstance(obj, dict):
            raise TypeError("no Status")
    except (ValueError, LookupError, TypeError) as error:
        raise ApiFailure(f"watch {path}: no event, but {line[:200]!r}: {error!r}") from error
    return kind, obj


def _key(obj: Json) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
