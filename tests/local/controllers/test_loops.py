"""The thin loops: caches that follow watches, queues that reconcile keys."""

import asyncio

import pytest

from pytest_mesh.clusters.local.apiclient import ApiError, WatchEvent, _difference
from pytest_mesh.clusters.local.controllers.cache import Informer
from pytest_mesh.clusters.local.controllers.discovery import ApiResource, distinct
from pytest_mesh.clusters.local.controllers.namespaces import stages
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue


def thing(name, version, uid=""):
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version), "uid": uid or name}}


class Watcher:
    """A client that gives fixed events."""

    def __init__(self, *events):
        self.events = events

    async def watch(self, _path, **_params):
        for kind, item in self.events:
            yield WatchEvent(type=kind, object=item)


def test_a_cache_holds_what_the_watch_said():
    events = [("ADDED", thing("a", 1)), ("SYNCED", {}), ("ADDED", thing("b", 2)), ("DELETED", thing("a", 3))]
    cache = Informer(Watcher(*events), "/x")
    asyncio.run(cache.run())
    assert list(cache.items) == [("shop", "b")]
    assert cache.synced.is_set()


def test_a_cache_does_not_go_back_to_an_older_version():
    cache = Informer(Watcher(("ADDED", thing("a", 5)), ("MODIFIED", thing("a", 4))), "/x")
    asyncio.run(cache.run())
    assert cache.get(("shop", "a"))["metadata"]["resourceVersion"] == "5"


def test_a_late_answer_does_not_bring_back_what_was_deleted():
    cache = Informer(Watcher(("ADDED", thing("a", 1)), ("DELETED", thing("a", 2))), "/x")
    asyncio.run(cache.run())
    cache.absorb(thing("a", 1))
    assert cache.get(("shop", "a")) is None
    cache.absorb(thing("a", 9, uid="another"))
    assert cache.get(("shop", "a")) is not None


def test_a_subscriber_hears_of_what_was_there_before():
    cache = Informer(Watcher(), "/x")
    cache.absorb(thing("a", 1))
    heard = []
    cache.subscribe(lambda old, new: heard.append((old, new["metadata"]["name"])))
    assert heard == [(None, "a")]


def test_a_fresh_list_gives_deletions_additions_and_changes():
    known = {("shop", item["metadata"]["name"]): item for item in (thing("a", 1), thing("b", 2), thing("c", 3))}
    events = _difference(known, [thing("b", 2), thing("c", 8), thing("d", 9)])
    assert [(event.type, event.object["metadata"]["name"]) for event in events] == [
        ("DELETED", "a"),
        ("MODIFIED", "c"),
        ("ADDED", "d"),
    ]


def test_an_object_made_anew_is_a_deletion_and_an_addition():
    events = _difference({("shop", "a"): thing("a", 1, "old")}, [thing("a", 2, "new")])
    assert [event.type for event in events] == ["DELETED", "ADDED"]


async def _run_queue(reconcile, keys, until):
    queue = WorkQueue("test", reconcile)
    for key in keys:
        queue.add(key)
    task = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(5):
            await until.wait()
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_key_that_fails_is_tried_again():
    async def scenario():
        done = asyncio.Event()
        tries = []

        async def reconcile(key):
            tries.append(key)
            if len(tries) < 3:
                raise ApiError(409, "Conflict", "stale")
            done.set()

        await _run_queue(reconcile, ["x"], done)
        return tries

    assert asyncio.run(scenario()) == ["x", "x", "x"]


def test_a_key_is_never_reconciled_twice_at_a_time():
    async def scenario():
        done = asyncio.Event()
        running, most, rounds = 0, 0, 0

        async def reconcile(_):
            nonlocal running, most, rounds
            running += 1
            most = max(most, running)
            rounds += 1
            queue.add("x")
            await asyncio.sleep(0)
            running -= 1
            if rounds == 5:
                done.set()

        queue = WorkQueue("test", reconcile)
        queue.add("x")
        task = asyncio.create_task(queue.run())
        async with asyncio.timeout(5):
            await done.wait()
        task.cancel()
        return most

    assert asyncio.run(scenario()) == 1


def test_a_key_can_ask_to_be_looked_at_again():
    async def scenario():
        done = asyncio.Event()
        seen = []

        async def reconcile(key):
            seen.append(key)
            if len(seen) == 2:
                done.set()
                return None
            return 0.001

        await _run_queue(reconcile, ["x"], done)
        return seen

    assert asyncio.run(scenario()) == ["x", "x"]


def resource(group, plural, version="v1", *, namespaced=True, verbs=("list", "delete")):
    return ApiResource(
        group=group, version=version, plural=plural, kind=plural, namespaced=namespaced, verbs=frozenset(verbs)
    )


def test_a_resource_served_in_several_versions_counts_once():
    found = distinct([resource("g", "things", "v1"), resource("g", "things", "v1beta1"), resource("h", "things")])
    assert [(item.group, item.version) for item in found] == [("g", "v1"), ("h", "v1")]


def test_a_namespace_loses_its_workloads_before_the_rest():
    everything = [
        resource("", "pods"),
        resource("", "services"),
        resource("apps", "deployments"),
        resource("", "nodes", namespaced=False),
        resource("", "bindings", verbs=("create",)),
    ]
    first, rest = stages(everything)
    assert [item.plural for item in first] == ["pods", "deployments"]
    assert [item.plural for item in rest] == ["services"]
