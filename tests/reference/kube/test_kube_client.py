"""The client against a small HTTP server that speaks the API's list, watch and Status."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mesh_reference.errors import ApiFailure, Conflict, NotFound
from mesh_reference.kube import resources
from mesh_reference.kube.client import Kube
from mesh_reference.kube.connection import Connection


class NoAuth:
    async def auth_settings(self) -> dict[str, Any]:
        return {"BearerToken": {"key": "authorization", "value": "Bearer t"}}


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "a", "uid": name, "resourceVersion": str(version)}}


class Api:
    """Serves pods of namespace a: one list, then the scripted watches one after another."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[dict[str, Any] | bytes]]) -> None:
        self.lists, self.watches, self.asked = lists, watches, []

    async def pods(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer t"
        self.asked.append(dict(request.query))
        if "watch" not in request.query:
            items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": items})
        response = web.StreamResponse()
        await response.prepare(request)
        if not self.watches:
            await asyncio.sleep(30)
        for line in self.watches.pop(0):
            await response.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        return response


async def first_events(api: Api, count: int) -> list[tuple[str, str]]:
    application = web.Application()
    application.router.add_get("/api/v1/pods", api.pods)
    async with TestServer(application) as server:
        link = Connection(server=f"http://127.0.0.1:{server.port}", tls=None, configuration=NoAuth())
        async with Kube(link) as kube:
            seen = []
            stream = kube.watch(resources.PODS, label_selector="x=y")
            async for event in stream:
                seen.append((event.kind, event.object.get("metadata", {}).get("name", "")))
                if len(seen) == count:
                    break
            await stream.aclose()
            return seen


def test_a_watch_lists_syncs_and_follows_changes_past_bookmarks() -> None:
    api = Api(
        [[pod("one", 5)]],
        [
            [
                {"type": "ADDED", "object": pod("two", 8)},
                {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            ],
            [{"type": "DELETED", "object": pod("one", 10)}],
        ],
    )
    events = asyncio.run(first_events(api, 4))
    assert events == [("upsert", "one"), ("synced", ""), ("upsert", "two"), ("delete", "one")]
    assert [query.get("resourceVersion") for query in api.asked[1:3]] == ["7", "9"]
    assert all(query["labelSelector"] == "x=y" for query in api.asked)


def test_a_watch_that_is_too_old_lists_again_and_tells_what_vanished() -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
    api = Api([[pod("one", 5), pod("two", 5)], [pod("two", 5)]], [[gone]])
    events = asyncio.run(first_events(api, 6))
    assert events[:3] == [("upsert", "one"), ("upsert", "two"), ("synced", "")]
    assert events[3:] == [("delete", "one"), ("upsert", "two"), ("synced", "")]


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (409, Conflict), (500, ApiFailure)])
def test_a_refusal_carries_the_status_and_the_servers_words(status: int, kind: type[ApiFailure]) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"reason": "Because", "message": "not so"}, status=status)

    async def run() -> ApiFailure:
        application = web.Application()
        application.router.add_get("/api/v1/namespaces/a/pods/x", refuse)
        async with TestServer(application) as server:
            link = Connection(server=f"http://127.0.0.1:{server.port}", tls=None, configuration=NoAuth())
            async with Kube(link) as kube:
                with pytest.raises(kind, match="not so") as caught:
                    await kube.get(resources.PODS, "x", "a")
                return caught.value

    failure = asyncio.run(run())
    assert (failure.status, failure.reason) == (status, "Because")


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"type": "ADDED", "object": {}}', b'{"type": "ERROR", "object": 7}', b"\xff"]
)
def test_a_line_that_is_no_event_ends_its_watch_and_the_list_comes_again(line: bytes) -> None:
    api = Api([[pod("one", 5)], [pod("two", 6)]], [[line]])
    events = asyncio.run(first_events(api, 5))
    assert events[2:] == [("delete", "one"), ("upsert", "two"), ("synced", "")]


def test_a_refusal_whose_words_are_cut_off_is_still_a_refusal() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=503, headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b'{"message": "not')
        assert request.transport is not None
        request.transport.abort()
        return response

    async def run() -> ApiFailure:
        application = web.Application()
        application.router.add_get("/api/v1/namespaces/a/pods/x", refuse)
        async with TestServer(application) as server:
            link = Connection(server=f"http://127.0.0.1:{server.port}", tls=None, configuration=NoAuth())
            async with Kube(link) as kube:
                with pytest.raises(ApiFailure, match="could not be read") as caught:
                    await kube.get(resources.PODS, "x", "a")
                return caught.value

    assert asyncio.run(run()).status == 503
