"""The Kubernetes API client: requests as raw JSON, and failures as the project's own errors.

Watches are in ``kube.watching``, the way to the server in ``kube.connection``. It caches nothing and interprets no object.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from mesh_reference.errors import ApiFailure, Conflict, NotFound, why
from mesh_reference.kube import connection, watching
from mesh_reference.kube.resources import TOKEN_REVIEWS, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from mesh_reference.kube.watching import Event

Json = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
ANSWER_SECONDS = 30.0
"""For a whole answer; watches and streams have budgets of their own."""


class Kube:
    """One connection pool to one API server. Use as ``async with await Kube.connect(...) as kube``."""

    def __init__(self, link: connection.Connection) -> None:
        self._link = link
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """Find the API server: in-cluster when ``kubeconfig`` is None, else that file, else the default one."""
        return cls(await connection.find(kubeconfig, context))

    async def __aenter__(self) -> Self:
        # The default of 100 connections would starve requests behind watches only in absurd cases; 0 = no limit.
        connector = aiohttp.TCPConnector(limit=0, ssl=self._link.tls or False)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS), read_bufsize=2**21
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        return await self.request("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[Json]:
        """Every object, each with its ``kind`` and ``apiVersion``, which lists leave out."""
        answer = await self.request(
            "GET", resource.path(namespace), params=watching.selectors(label_selector, field_selector)
        )
        return watching.items(resource, answer)

    async def create(self, resource: Resource, obj: Json) -> Json:
        return await self.request("POST", resource.path(_namespace(obj)), body=_typed(resource, obj))

    async def replace(self, resource: Resource, obj: Json) -> Json:
        return await self.request(
            "PUT", resource.path(_namespace(obj), obj["metadata"]["name"]), body=_typed(resource, obj)
        )

    async def apply(self, resource: Resource, obj: Json, *, field_manager: str, force: bool = True) -> Json:
        """Server-side apply; JSON is YAML, so the body is JSON."""
        return await self.request(
            "PATCH",
            resource.path(_namespace(obj), obj["metadata"]["name"]),
            body=_typed(resource, obj),
            content_type=APPLY_PATCH,
            params={"fieldManager": field_manager, "force": "true" if force else "false"},
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Sequence[Any] | Json,
        *,
        content_type: str = MERGE_PATCH,
    ) -> Json:
        return await self.request("PATCH", resource.path(namespace, name), body=patch, content_type=content_type)

    async def delete(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        return await self.request("DELETE", resource.path(namespace, name))

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[Event]:
        """Endless: see ``kube.watching.watch``."""
        return watching.watch(self, resource, namespace, watching.selectors(label_selector, field_selector))

    async def token_review(self, token: str, audiences: Sequence[str]) -> Json:
        """``TokenReview.status`` for a bearer token: ``authenticated``, ``user``, ``audiences``, ``error``."""
        review = {"spec": {"token": token, "audiences": [*audiences]}}
        answer = await self.request("POST", TOKEN_REVIEWS.path(), body=_typed(TOKEN_REVIEWS, review))
        status: Json = answer.get("status") or {}
        return status

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Json:
        """One request, one JSON object. Raises NotFound, Conflict, or ApiFailure for the rest."""
        async with await self.open(method, path, params=params, body=body, content_type=content_type) as response:
            try:
                answer: Json = json.loads(await response.read())
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise ApiFailure(f"{method} {path}: the answer could not be read: {why(error)}") from error
            return answer

    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109  aiohttp's own, for streams
    ) -> aiohttp.ClientResponse:
        """Send a request and return the open response, for the caller to read and close."""
        if self._session is None:
            raise ApiFailure(f"{method} {path}: the client is closed; use it inside `async with`")
        headers = {"Accept": "application/json", **await self._link.headers()}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        try:
            response = await self._session.request(
                method,
                self._link.server + path,
                params=params,
                data=data,
                headers=headers,
                timeout=timeout or self._session.timeout,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiFailure(f"{method} {self._link.server}{path}: {why(error)}") from error
        if response.status >= 400:
            raise await _failure(method, path, response)
        return response

    @asynccontextmanager
    async def websocket(
        self, path: str, params: Mapping[str, str], protocol: str, seconds: float
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An upgraded connection (port-forward, exec), closed at the end or after so many ``seconds``; aiohttp's errors."""
        if self._session is None:
            raise ApiFailure(f"GET {path}: the client is closed; use it inside `async with`")
        async with (
            asyncio.timeout(seconds),
            self._session.ws_connect(
                self._link.server + path,
                params=params,
                protocols=(protocol,),
                headers=await self._link.headers(),
                max_msg_size=0,
            ) as socket,
        ):
            yield socket


def _namespace(obj: Json) -> str | None:
    namespace: str | None = obj["metadata"].get("namespace")
    return namespace


def _typed(resource: Resource, obj: Json) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


async def _failure(method: str, path: str, response: aiohttp.ClientResponse) -> ApiFailure:
    """The refusal, in the server's words as far as they can be read."""
    try:
        async with response:
            text = (await response.read()).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:
        text = f"(its body could not be read: {why(error)})"
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    message = f"{method} {path}: {response.status} {body.get('message') or text[:500]}"
    kinds: dict[int, type[ApiFailure]] = {404: NotFound, 409: Conflict}
    kind = kinds.get(response.status, ApiFailure)
    return kind(message, status=response.status, reason=str(body.get("reason", "")), body=body)
