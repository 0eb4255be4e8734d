"""The asynchronous Kubernetes API client of the node's own processes.

Reads one kubeconfig (CA and bearer token) and speaks plain JSON: get, list,
create, replace, patch, delete and an endless list+watch. It knows no resource
type, keeps no cache, retries no write, and reads no kubeconfig but the
embedded cluster's (no exec plugins, no client certificates).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import aiohttp
import orjson
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_LISTS = {METADATA_ONLY: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"}

_WATCH_SECONDS = "600"
"""How long the server may keep one watch open before it ends it cleanly."""
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
"""Seconds between attempts while the server cannot be reached."""


class ApiError(Exception):
    """The API server said no (or, with ``status`` 0, could not be reached).

    ``reason`` is the Status' machine-readable word (``NotFound``, ``Conflict``,
    ``Unreachable``), ``body`` the whole Status object or ``{}``.
    """

    def __init__(self, status: int, reason: str, message: str, body: Json | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.body: Json = body if body is not None else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One event of :meth:`ApiClient.watch`; SYNCED comes once, when the first list is through."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "SYNCED"]
    object: Json = field(default_factory=dict)


class ApiClient:
    """A connection to one API server; use it with ``async with``."""

    def __init__(self, server: str, ca_pem: str, token: str, *, agent: str = "") -> None:
        self.server = server.rstrip("/")
        self.ca_pem = ca_pem
        self._token = token
        self._agent = {"User-Agent": agent} if agent else {}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path, *, agent: str = "") -> ApiClient:
        """Read the current context of ``path``; ValueError names what is missing there.

        ``agent`` is the User-Agent, whose first word is the field manager of what is written.
        """
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config.get("current-context"), path)["context"]
        cluster = _named(config, "clusters", context.get("cluster"), path)["cluster"]
        user = _named(config, "users", context.get("user"), path)["user"]
        if "token" not in user:
            raise ValueError(f"{path}: user {context['user']!r} has no token; this client authenticates by token only")
        if "certificate-authority-data" in cluster:
            ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        elif "certificate-authority" in cluster:
            ca_pem = (path.parent / cluster["certificate-authority"]).read_text()
        else:
            raise ValueError(f"{path}: cluster {context['cluster']!r} names no certificate authority")
        return cls(cluster["server"], ca_pem, user["token"], agent=agent)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=ssl.create_default_context(cadata=self.ca_pem),
                limit=0,
                keepalive_timeout=60,
            ),
            headers={"Authorization": f"Bearer {self._token}", **self._agent},
            timeout=aiohttp.ClientTimeout(total=60),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, **params: str) -> Json:
        """Give the object (or list, or any JSON document) at ``path``; raises ApiError."""
        return await self._call("GET", path, params)

    async def list(self, path: str, **params: str) -> list[Json]:
        """Give all items of the collection at ``path``, each with its own kind and apiVersion."""
        items, _ = await self._list(path, params, JSON)
        return items

    async def create(self, path: str, body: Json) -> Json:
        """POST ``body`` to the collection (or subresource) at ``path``."""
        return await self._call("POST", path, {}, body)

    async def replace(self, path: str, body: Json) -> Json:
        """PUT ``body`` at ``path``, which may end in ``/status``; a stale resourceVersion is ApiError 409."""
        return await self._call("PUT", path, {}, body)

    async def patch(
        self,
        path: str,
        body: Json | list[Any],  # type: ignore[valid-type]  # ``list`` is a method here
        content_type: str = MERGE_PATCH,
        **params: str,
    ) -> Json:
        """PATCH the object at ``path``."""
        return await self._call("PATCH", path, params, body, content_type)

    async def delete(self, path: str, body: Json | None = None, **params: str) -> Json:
        """DELETE at ``path``; ``body`` = DeleteOptions (preconditions), ``params`` the same as a query."""
        return await self._call("DELETE", path, params, body)

    def watch(self, path: str, **params: str) -> AsyncIterator[WatchEvent]:
        """List and then watch the collection at ``path`` for ever.

        Broken connections and restarts are survived: the watch resumes where it
        was, or lists again after a 410 and emits what differs, with a DELETED
        for each object that vanished meanwhile. Raises ApiError for what no
        retry mends (401, 403, 404, 405).
        """
        return self._watch(path, params, JSON)

    def watch_metadata(self, path: str, **params: str) -> AsyncIterator[WatchEvent]:
        """Do what :meth:`watch` does, asking for PartialObjectMetadata (a server may answer whole objects)."""
        return self._watch(path, params, METADATA_ONLY)

    async def _watch(self, path: str, params: Mapping[str, str], accept: str) -> AsyncIterator[WatchEvent]:
        known: dict[tuple[str, str], Json] = {}
        version = ""
        synced = False
        pause = _FIRST_PAUSE
        while True:
            try:
                if not version:
                    items, version = await self._list(path, params, accept)
                    for event in _difference(known, items):
                        _remember(known, event)
                        yield event
                    if not synced:
                        synced = True
                        yield WatchEvent(type="SYNCED")
                async for kind, item in self._stream(path, params, version, accept):
                    pause = _FIRST_PAUSE
                    version = item["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        event = WatchEvent(type=kind, object=item)  # type: ignore[arg-type]  # checked in _stream
                        _remember(known, event)
                        yield event
                await asyncio.sleep(_FIRST_PAUSE)  # the server ended the watch in good order
            except ApiError as error:
                if error.status in {401, 403, 404, 405}:
                    raise
                if error.status == 410:
                    version = ""
                    continue
                log.info("watch %s: %s; trying again", path, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self, path: str, params: Mapping[str, str], accept: str) -> tuple[list[Json], str]:  # type: ignore[valid-type]
        items: list[Json] = []
        query = dict(params)
        while True:
            page = await self._call("GET", path, query, accept=_LISTS.get(accept, accept))
            kind = page.get("kind", "").removesuffix("List")
            version = page.get("apiVersion", "v1")
            items += [{"kind": kind, "apiVersion": version, **item} for item in page.get("items") or ()]
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return items, metadata.get("resourceVersion", "")
            query["continue"] = metadata["continue"]

    async def _stream(
        self, path: str, params: Mapping[str, str], version: str, accept: str
    ) -> AsyncIterator[tuple[str, Json]]:
        query = {
            **params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        session = self._open()
        try:
            async with session.get(
                self.server + path,
                params=query,
                headers={"Accept": accept},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            ) as response:
                if response.status >= 400:
                    raise _refusal(response.status, await response.read(), f"GET {path}")
                pending = b""
                # Lines are cut here: an object may be longer than aiohttp's limit for readline.
                async for chunk in response.content.iter_any():
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        if line.strip():
                            yield _event(orjson.loads(line), path)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(self.server, path, error) from error

    async def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Json:
        session = self._open()
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept} if body is None else {"Accept": accept, "Content-Type": content_type}
        try:
            async with session.request(
                method, self.server + path, params=params, data=data, headers=headers
            ) as response:
                text = await response.read()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(self.server, path, error) from error
        if status >= 400:
            raise _refusal(status, text, f"{method} {path}")
        answer: Json = orjson.loads(text) if text else {}
        return answer

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ApiClient is not open: use it with `async with`")
        return self._session


def key_of(item: Json) -> tuple[str, str]:
    """Give (namespace or "", name)."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _remember(known: dict[tuple[str, str], Json], event: WatchEvent) -> None:
    if event.type == "DELETED":
        known.pop(key_of(event.object), None)
    else:
        known[key_of(event.object)] = event.object


def _difference(known: Mapping[tuple[str, str], Json], items: list[Json]) -> list[WatchEvent]:
    """Give the events that lead from ``known`` to a fresh list; a new uid is a deletion and an addition."""
    fresh = {key_of(item): item for item in items}
    events = []
    for key, old in known.items():
        new = fresh.get(key)
        if new is None or new["metadata"].get("uid") != old["metadata"].get("uid"):
            events.append(WatchEvent(type="DELETED", object=old))
    for key, new in fresh.items():
        before = known.get(key)
        if before is None or before["metadata"].get("uid") != new["metadata"].get("uid"):
            events.append(WatchEvent(type="ADDED", object=new))
        elif before["metadata"].get("resourceVersion") != new["metadata"].get("resourceVersion"):
            events.append(WatchEvent(type="MODIFIED", object=new))
    return events


def _event(frame: Json, path: str) -> tuple[str, Json]:
    kind = frame["type"]
    item: Json = frame["object"]
    if kind == "ERROR":
        raise ApiError(item.get("code", 500), item.get("reason", ""), f"watch {path}: {item.get('message')}", item)
    if kind not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
        raise ApiError(500, "UnknownEvent", f"watch {path}: unknown event type {kind!r}", frame)
    return kind, item


def _refusal(status: int, text: bytes, what: str) -> ApiError:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    message = body.get("message") or text[:300].decode(errors="replace")
    return ApiError(status, body.get("reason") or "", f"{what}: {message}", body)


def _unreachable(server: str, path: str, error: Exception) -> ApiError:
    return ApiError(0, "Unreachable", f"{server}{path}: {error or type(error).__name__}")


def _named(config: Json, section: str, name: str | None, path: Path) -> Json:
    for entry in config.get(section) or ():
        if entry.get("name") == name:
            found: Json = entry
            return found
    raise ValueError(f"{path}: no entry {name!r} under {section}")
