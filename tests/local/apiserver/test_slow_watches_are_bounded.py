import asyncio
import json

import pytest

from pytest_mesh.clusters.local.apiserver import builtins, store, watching
from pytest_mesh.clusters.local.apiserver.reading import Form
from pytest_mesh.clusters.local.apiserver.registry import Registry
from pytest_mesh.clusters.local.apiserver.requests import Target
from pytest_mesh.clusters.local.apiserver.server import Server
from pytest_mesh.clusters.local.apiserver.store import Store


class Client:
    """A watch's outlet: takes what is written, or nothing from the moment on in which ``stalls`` is set."""

    def __init__(self):
        self.lines, self.writes, self.stalls = [], 0, False

    def write(self, data):
        self.writes += bool(data)
        self.lines += [json.loads(line) for line in data.splitlines()]

    def waiting(self):
        return watching.LAG + 1 if self.stalls else 0

    async def drain(self):
        await asyncio.Event().wait()


def config_map(number):
    metadata = {"name": f"m{number}", "namespace": "default"}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}


def made(stored):
    registry = Registry(builtins.resources())
    server = Server(
        run_dir=None,
        node_address="",
        store=stored,
        registry=registry,
        authenticator=None,
        admission=None,
        authorizer=None,
    )
    target = Target(info=registry.find("", "v1", "configmaps"), namespace="", name="", subresource="")
    return watching.Watch(server, target, Form(), {"resourceVersion": str(stored.version)})


async def turns():
    for _ in range(3):
        await asyncio.sleep(0)


def watched(scene):
    """Run ``scene(stored, client, task)`` beside a watch of all ConfigMaps."""

    async def main():
        stored, client = Store(), Client()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(made(stored).run(client))
            await turns()
            await scene(stored, client, task)
            stored.stop()

    asyncio.run(main())


def test_events_of_one_moment_go_out_in_one_write():
    async def scene(stored, client, _):
        for number in range(10):
            stored.put("configmaps", config_map(number))
        assert client.writes == 0  # whoever wrote them is answered first
        await turns()
        assert (client.writes, len(client.lines)) == (1, 10)

    watched(scene)


def test_no_more_than_the_backlog_waits_for_a_client_that_takes_nothing(monkeypatch):
    monkeypatch.setattr(store, "BACKLOG", 20)
    monkeypatch.setattr(watching, "STALLED", 0.05)

    async def main():
        stored, client = Store(), Client()
        task = asyncio.create_task(made(stored).run(client))
        await turns()
        (subscription,) = stored._shelves["configmaps"].subscriptions
        client.stalls = True
        for number in range(200):
            stored.put("configmaps", config_map(number))
            await turns()
        assert len(subscription.pending) <= 20
        with pytest.raises(TimeoutError):
            await task
        assert not stored._shelves["configmaps"].subscriptions

    asyncio.run(main())


def test_a_watch_that_lagged_by_the_backlog_is_told_to_list_anew(monkeypatch):
    monkeypatch.setattr(store, "BACKLOG", 20)

    async def scene(stored, client, task):
        for number in range(21):
            stored.put("configmaps", config_map(number))
        await task
        assert [(line["type"], line["object"]["code"]) for line in client.lines] == [("ERROR", 410)]

    watched(scene)


def test_a_request_comes_between_the_deliveries_to_many_watches(monkeypatch):
    monkeypatch.setattr(store, "TURN", 0.0)

    async def main():
        stored, order = Store(), []
        for _ in range(3):
            stored.subscribe("configmaps").follow(lambda: order.append("delivery"))
        stored.put("configmaps", config_map(1))
        asyncio.get_running_loop().call_soon(order.append, "request")
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == ["delivery", "request", "delivery", "delivery"]

    asyncio.run(main())


def test_a_delivery_that_fails_ends_its_own_watch_only(caplog):
    async def main():
        stored, seen = Store(), []

        def fails():
            raise ValueError("not to be shown")

        broken, sound = stored.subscribe("configmaps"), stored.subscribe("configmaps")
        broken.follow(fails)
        sound.follow(lambda: seen.append(sound.pending.popleft()))
        stored.put("configmaps", config_map(1))
        await turns()
        assert (bool(broken.expired), sound.expired, len(seen)) == (True, "", 1)

    asyncio.run(main())
    assert "not to be shown" in caplog.text


def test_objects_are_listed_by_namespace_and_name():
    stored = Store()
    for place in ("b/2", "a/1", "b/1", "ba/1", "b/3", "a-b/1"):
        namespace, _, name = place.partition("/")
        stored.put("configmaps", {"metadata": {"name": name, "namespace": namespace}})
    stored.remove("configmaps", "b", "2")

    assert [(item.namespace, item.name) for item in stored.items("configmaps", "b")] == [("b", "1"), ("b", "3")]
    everything = [f"{item.namespace}/{item.name}" for item in stored.items("configmaps")]
    assert everything == ["a/1", "a-b/1", "b/1", "b/3", "ba/1"]
