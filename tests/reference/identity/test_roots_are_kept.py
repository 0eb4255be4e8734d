"""The root's Secret and its ConfigMaps, against an in-memory API with watches."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import defaultdict
from typing import Any

import pytest

from mesh_reference.ca import authority, roots
from mesh_reference.errors import ApiFailure, Conflict, NotFound
from mesh_reference.kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS
from mesh_reference.kube.watching import Event

BUDGET_SECONDS = 5


class MemoryStore:
    """Objects by resource; every change reaches every watch."""

    def __init__(self) -> None:
        self.objects: dict[Any, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        self.watches: dict[Any, list[asyncio.Queue[Event]]] = defaultdict(list)
        self.writes = 0
        self.failures = 0
        self.before_create = lambda: None

    def put(self, resource: Any, obj: dict[str, Any]) -> None:
        self.objects[resource][_key(obj)] = copy.deepcopy(obj)
        self._tell(resource, Event("upsert", copy.deepcopy(obj)))

    def drop(self, resource: Any, namespace: str, name: str) -> None:
        self._tell(resource, Event("delete", self.objects[resource].pop((namespace, name))))

    async def get(self, resource, name, namespace=None):
        try:
            return copy.deepcopy(self.objects[resource][namespace or "", name])
        except KeyError:
            raise NotFound(f"{name} not found", status=404) from None

    async def create(self, resource, obj):
        self.before_create()
        if self.failures:
            self.failures -= 1
            raise ApiFailure("the API server is away")
        if _key(obj) in self.objects[resource]:
            raise Conflict("exists", status=409)
        self.writes += 1
        self.put(resource, obj)
        return obj

    async def replace(self, resource, obj):
        self.writes += 1
        self.put(resource, obj)
        return obj

    async def watch(self, resource, **_selectors):
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.watches[resource].append(queue)
        for obj in list(self.objects[resource].values()):
            yield Event("upsert", copy.deepcopy(obj))
        yield Event("synced", {})
        while True:
            yield await queue.get()

    def _tell(self, resource: Any, event: Event) -> None:
        for queue in self.watches[resource]:
            queue.put_nowait(event)


def _key(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def namespace(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


async def until(condition) -> None:
    async with asyncio.timeout(BUDGET_SECONDS):
        while not condition():  # noqa: ASYNC110 - a condition with a budget
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def distributing(store, settings, signer):
    task = asyncio.create_task(roots.distribute(store, settings, signer))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def holders(store) -> set[str]:
    return {namespace for namespace, _name in store.objects[CONFIG_MAPS]}


def test_the_first_start_makes_the_secret_and_the_second_reads_it(settings):
    async def run() -> None:
        store = MemoryStore()
        first = await roots.load_or_create(store, settings)
        secret = store.objects[SECRETS]["istio-system", "istio-ca-secret"]
        assert secret["type"] == "istio.io/ca-root"
        assert set(secret["data"]) == {"ca-cert.pem", "ca-key.pem"}
        assert (await roots.load_or_create(store, settings)).root_pem == first.root_pem
        assert store.writes == 1

    asyncio.run(run())


def test_two_starts_at_once_agree_on_one_root(settings, signer):
    async def run() -> None:
        store = MemoryStore()
        rival = MemoryStore()
        theirs = await roots.load_or_create(rival, settings)
        store.before_create = lambda: store.objects.update({SECRETS: rival.objects[SECRETS]})
        ours = await roots.load_or_create(store, settings)
        assert ours.root_pem == theirs.root_pem

    asyncio.run(run())


def test_an_unusable_secret_is_an_error_that_names_it(settings):
    async def run() -> None:
        store = MemoryStore()
        await roots.load_or_create(store, settings)
        del store.objects[SECRETS]["istio-system", "istio-ca-secret"]["data"]["ca-key.pem"]
        with pytest.raises(authority.SignerError, match="istio-system/istio-ca-secret"):
            await roots.load_or_create(store, settings)

    asyncio.run(run())


def test_every_namespace_but_three_gets_the_root(settings, signer):
    async def run() -> None:
        store = MemoryStore()
        for name in ("default", "kube-system", "kube-public", "kube-node-lease", "local-path-storage"):
            store.put(NAMESPACES, namespace(name))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"default", "kube-system"})
            store.put(NAMESPACES, namespace("shop"))
            await until(lambda: "shop" in holders(store))
        found = store.objects[CONFIG_MAPS]["shop", "istio-ca-root-cert"]
        assert found["data"] == {"root-cert.pem": signer.root_pem}
        assert found["metadata"]["labels"] == {"istio.io/config": "true"}

    asyncio.run(run())


def test_a_deleted_config_map_comes_back(settings, signer):
    async def run() -> None:
        store = MemoryStore()
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})
            store.drop(CONFIG_MAPS, "shop", "istio-ca-root-cert")
            await until(lambda: holders(store) == {"shop"})

    asyncio.run(run())


@pytest.mark.parametrize("damage", [{"data": {"root-cert.pem": "forged"}}, {"data": {}}, {"metadata": {"labels": {}}}])
def test_an_edited_config_map_is_put_right_and_keeps_foreign_labels(settings, signer, damage):
    async def run() -> None:
        store = MemoryStore()
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})
            right = copy.deepcopy(store.objects[CONFIG_MAPS]["shop", "istio-ca-root-cert"])
            right["metadata"]["labels"]["team"] = "a"
            edited = copy.deepcopy(right)
            edited["data"] = damage.get("data", edited["data"])
            if "metadata" in damage:
                edited["metadata"]["labels"] = {"team": "a"}
            store.put(CONFIG_MAPS, edited)
            await until(lambda: store.objects[CONFIG_MAPS]["shop", "istio-ca-root-cert"] == right)

    asyncio.run(run())


def test_a_right_config_map_is_left_alone(settings, signer):
    async def run() -> None:
        store = MemoryStore()
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})
        writes = store.writes
        async with distributing(store, settings, signer):
            store.put(NAMESPACES, namespace("later"))
            await until(lambda: "later" in holders(store))
        assert store.writes == writes + 1

    asyncio.run(run())


def test_a_failing_api_server_is_tried_again(settings, signer):
    async def run() -> None:
        store = MemoryStore()
        store.put(NAMESPACES, namespace("shop"))
        store.failures = 2
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})

    asyncio.run(run())


def test_a_leaving_namespace_gets_nothing(settings, signer):
    async def run() -> None:
        store = MemoryStore()
        leaving = {"metadata": {"name": "leaving", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        store.put(NAMESPACES, leaving)
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})

    asyncio.run(run())
