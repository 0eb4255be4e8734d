"""Clients that flood, stall or send too much, and a change that Pilot makes wrong: the other streams are served."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

import grpc
import pytest
from ads_client import ALL, NODE, PORTS, Client, ends_with, is_served, mesh, play, running
from memory_kube import MemoryKube, service

from mesh_reference.app import Istiod
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.resources import CLUSTER, ENDPOINT
from mesh_reference.xds.session import Session


def test_a_request_that_is_too_large_ends_its_own_stream_only() -> None:
    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(ENDPOINT, NODE, resource_names=["x" * 10_000_000])
        assert await ends_with(client) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await is_served(channel)

    play(script)


def test_a_flood_of_requests_waits_and_hurts_nobody() -> None:
    async def script(_kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(CLUSTER, NODE)

        async def flood() -> None:
            for _request in range(3000):
                await client.ask(ENDPOINT, resource_names_subscribe=[ALL])

        flooding = asyncio.create_task(flood())
        assert await is_served(channel)
        flooding.cancel()
        assert istiod.ready.is_set()

    play(script)


def test_a_proxy_that_does_not_read_is_cut_off() -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        assert istiod.hub is not None
        for number in range(300):  # more than a connection's window
            kube.put(service(f"s{number}", f"10.96.2.{number % 250}"))
        own = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{istiod.ports.xds}", options=own) as other:
            stalled = Client(other)
            await stalled.ask(CLUSTER, NODE)

            async def insist() -> None:
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    while True:
                        await stalled.ask(CLUSTER)  # each asks for everything once more, and none is read

            insisting = asyncio.create_task(insist())
            async with asyncio.timeout(10):
                while not istiod.hub.streams:  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.01)
                while istiod.hub.streams:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            insisting.cancel()
            assert await is_served(channel)

    play(script, replace(PORTS, send_timeout=0.2))


def test_an_error_while_requests_are_read_ends_their_stream_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Session.receive

    async def fails(self: Session, request: object) -> None:
        if "bad" in getattr(request, "resource_names", ()):
            raise LookupError("no such thing")
        await receive(self, request)

    monkeypatch.setattr(Session, "receive", fails)

    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(CLUSTER, NODE)
        await client.read()
        await client.ask(ENDPOINT, resource_names=["bad"])
        assert await ends_with(client) is grpc.StatusCode.UNKNOWN
        assert await is_served(channel)

    play(script)


def test_streams_beyond_the_limit_are_refused() -> None:
    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        first, second = Client(channel), Client(channel)
        await first.ask(CLUSTER, NODE)
        await first.read()
        await second.ask(CLUSTER, NODE)
        assert await ends_with(second) is grpc.StatusCode.RESOURCE_EXHAUSTED

    play(script, replace(PORTS, max_streams=1))


def test_proxies_move_to_the_other_istiod_and_get_only_what_they_lack() -> None:
    async def run() -> None:
        kube = mesh()
        async with running(kube) as two:
            async with running(kube) as one, grpc.aio.insecure_channel(f"127.0.0.1:{one.ports.xds}") as channel:
                client = Client(channel, delta=True)
                await client.ask(CLUSTER, NODE)
                held = {made.name: made.version for made in (await client.read()).resources}
            async with grpc.aio.insecure_channel(f"127.0.0.1:{two.ports.xds}") as channel:
                again = Client(channel, delta=True)
                await again.ask(CLUSTER, NODE, initial_resource_versions=held)
                assert not (await again.read()).resources

    asyncio.run(run())


def test_a_change_that_cannot_be_followed_makes_all_anew_and_ends_no_stream(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(CLUSTER, NODE)
        await client.read()
        with monkeypatch.context() as broken:
            broken.setattr(Configuration, "succeeded_by", _fail)
            kube.put(service("late", "10.96.0.9"))
            assert [made.name for made in (await client.read()).resources] == [
                "outbound|80||late.shop.svc.cluster.local"
            ]
        kube.put(service("later", "10.96.0.10"))
        assert [made.name for made in (await client.read()).resources] == ["outbound|80||later.shop.svc.cluster.local"]
        assert istiod.ready.is_set()

    with caplog.at_level(logging.ERROR):
        play(script)
    assert "does not follow from the one before" in caplog.text


def _fail(*_args: object) -> Configuration:
    raise KeyError("a fault of Pilot's own")
