"""What is kept for proxies, for their answers and for delegates lasts no longer than these."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from memory_kube import service, virtual_service
from mesh_of import CLIENT, add, index_of

from mesh_reference.kube import resources
from mesh_reference.kube.watching import Event
from mesh_reference.model.snapshot import Change
from mesh_reference.settings import Settings
from mesh_reference.xds import hub as hubs
from mesh_reference.xds import subscriptions
from mesh_reference.xds.dialects import Delta
from mesh_reference.xds.hub import Hub
from mesh_reference.xds.resources import ROUTE, VIRTUAL_HOST
from mesh_reference.xds.session import Session
from mesh_reference.xds.subscriptions import Subscription

ELSEWHERE = replace(CLIENT, id="tester-1.far", namespace="far", address="10.244.0.30")


async def ignore(_response: bytes) -> None:
    """Take a response and say nothing of it."""


def stream_of(hub: Hub, proxy=CLIENT, dialect=None) -> Session:
    session = Session(proxy, "peer", dialect or Delta(), hub.configuration, ignore)
    hub.add(session)
    return session


async def swept(hub: Hub, left: int) -> None:
    async with asyncio.timeout(5):
        while len(hub.configuration._views) != left:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.001)


def test_a_view_that_nobody_shares_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SWEEP_SECONDS", 0.01)

    async def run() -> None:
        hub = Hub(index_of(service("reviews", "10.96.0.7")).snapshot(), Settings())
        staying, again, going = stream_of(hub), stream_of(hub), stream_of(hub, ELSEWHERE)
        view = hub.configuration.view(CLIENT)
        assert len(hub.configuration._views) == 2
        hub.remove(going)
        hub.remove(again)
        await swept(hub, 1)
        assert hub.configuration.view(CLIENT) is view
        assert set(hub.configuration._keys) == {(CLIENT.address, CLIENT.id, CLIENT.namespace)}
        assert set(hub.configuration._inbound) == {(CLIENT.address, CLIENT.id)}
        hub.remove(staying)
        await swept(hub, 0)
        assert not hub.configuration._keys

    asyncio.run(run())


def test_a_view_of_a_stream_whose_key_is_looked_for_anew_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SWEEP_SECONDS", 0.01)

    async def run() -> None:
        index = index_of(service("reviews", "10.96.0.7"))
        hub = Hub(index.snapshot(), Settings())
        stream_of(hub)
        going = stream_of(hub, ELSEWHERE)
        hub.publish(index.snapshot(), Settings(), Change(proxies=frozenset({CLIENT.address})), 0.0)
        assert len(hub.configuration._keys) == 1
        hub.remove(going)
        await swept(hub, 1)
        assert next(iter(hub.configuration._views)).namespace == CLIENT.namespace

    asyncio.run(run())


def test_a_proxy_that_answers_nothing_is_waited_for_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "OUTSTANDING", 4)

    async def run() -> None:
        hub = Hub(index_of(service("reviews", "10.96.0.7")).snapshot(), Settings())
        session = stream_of(hub)
        hosts = session.subscriptions[VIRTUAL_HOST] = Subscription(type_url=VIRTUAL_HOST, wildcard=True)
        session.subscriptions[ROUTE] = Subscription(type_url=ROUTE, names={"80"})
        found = session._subscribed(hosts, None)
        assert found
        for _response in range(20):
            await session._send(hosts, found, (), {})
        assert len(session._in_flight) <= 5
        assert set(hosts.outstanding) <= set(session._in_flight)

    asyncio.run(run())


def test_a_delegate_that_no_root_refers_to_any_more_is_forgotten() -> None:
    index = index_of()
    root = virtual_service("root", ["reviews"], [{"delegate": {"name": "part", "namespace": "shop"}}])
    add(index, root)
    assert set(index._roots_of) == {("shop", "part")}
    index.apply(resources.VIRTUAL_SERVICES, Event("delete", root))
    assert not index._roots_of
