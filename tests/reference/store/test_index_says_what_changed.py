"""What each event changes: nothing, the endpoints of a host, or everything; and that snapshots never change."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "xds"))

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from memory_kube import MemoryKube, destination_rule, endpoint_slice, pod, service, virtual_service
from mesh_of import add, index_of

from mesh_reference.kube import resources
from mesh_reference.kube.watching import Event
from mesh_reference.model.snapshot import Change
from mesh_reference.settings import Settings
from mesh_reference.store.mesh_store import MeshStore

HOST = "reviews.shop.svc.cluster.local"
PODS = [pod(f"r{n}", f"10.244.0.{n}", {"app": "reviews"}, "reviews") for n in (1, 2, 3)]


def test_another_pod_of_the_same_account_changes_endpoints_alone() -> None:
    index = index_of(service("reviews", "10.96.0.7"), *PODS, endpoint_slice("reviews", ["10.244.0.1"]))
    change = add(index, endpoint_slice("reviews", ["10.244.0.1", "10.244.0.2"]))
    assert change == Change(endpoints=frozenset({HOST}), proxies=frozenset({"10.244.0.2"}))


def test_the_first_pod_of_an_account_changes_the_clusters_too() -> None:
    index = index_of(service("reviews", "10.96.0.7"), *PODS)
    assert add(index, endpoint_slice("reviews", ["10.244.0.1"])).services == {HOST}


def test_an_address_without_a_pod_is_no_identity() -> None:
    index = index_of(service("reviews", "10.96.0.7"), *PODS, endpoint_slice("reviews", ["10.244.0.1"]))
    assert not add(index, endpoint_slice("reviews", ["10.244.0.1", "192.0.2.1"])).services


def test_a_write_to_status_and_a_repeated_event_change_nothing() -> None:
    index = index_of(service("reviews", "10.96.0.7"), *PODS)
    again = service("reviews", "10.96.0.7")
    again["metadata"]["resourceVersion"] = "99"
    assert not add(index, again)
    assert not add(index, PODS[0])


def test_a_pod_that_comes_after_its_slice_is_joined() -> None:
    index = index_of(service("reviews", "10.96.0.7"), endpoint_slice("reviews", ["10.244.0.1"]))
    assert add(index, PODS[0]).services == {HOST}
    (endpoint,) = index.snapshot().endpoints[HOST]
    assert endpoint.service_account == "reviews"


def test_a_snapshot_stays_as_it_was_taken() -> None:
    index = index_of(service("reviews", "10.96.0.7"))
    before = index.snapshot()
    add(index, service("late", "10.96.0.8"))
    assert set(before.services) == {HOST}
    assert index.snapshot().version == before.version + 1


def test_a_resource_that_turns_bad_is_left_out_and_named_until_it_is_mended() -> None:
    index = index_of(virtual_service("a", ["reviews"], [{"directResponse": {"status": 200}}]))
    changed = add(index, virtual_service("a", ["reviews"], [{"name": "nothing"}]))
    assert changed == Change(configs=frozenset({("VirtualService", "shop", "a")}))
    assert index.problems
    assert not index.snapshot().virtual_services
    add(index, virtual_service("a", ["reviews"], [{"directResponse": {"status": 200}}]))
    assert not index.problems


@given(st.lists(st.tuples(st.sampled_from(["slice", "pod"]), st.integers(1, 3), st.booleans()), max_size=25))
def test_any_order_of_events_ends_in_the_same_endpoints(events: list[tuple[str, int, bool]]) -> None:
    index = index_of(service("reviews", "10.96.0.7"))
    slices: set[int] = set()
    pods: set[int] = set()
    for kind, number, upsert in events:
        if kind == "pod":
            (pods.add if upsert else pods.discard)(number)
            event = Event("upsert" if upsert else "delete", {**PODS[number - 1]})
            index.apply(resources.PODS, event)
        else:
            (slices.add if upsert else slices.discard)(number)
            add(index, endpoint_slice("reviews", [f"10.244.0.{one}" for one in sorted(slices)]))
    fresh = index_of(
        service("reviews", "10.96.0.7"),
        endpoint_slice("reviews", [f"10.244.0.{one}" for one in sorted(slices)]),
        *(PODS[number - 1] for number in sorted(pods)),
    )
    assert index.snapshot().endpoints == fresh.snapshot().endpoints


def test_a_route_that_is_seen_before_its_subset_waits_for_it_but_not_for_long() -> None:
    async def play() -> tuple[set[str], set[str], float]:
        kube = MemoryKube(service("reviews", "10.96.0.7"))
        store = MeshStore(kube, Settings())
        watching = asyncio.create_task(store.watch())
        updates = store.updates()
        to = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
        async with asyncio.timeout(5):
            await anext(updates)
            kube.put(virtual_service("a", ["reviews"], [to]))
            waiting = asyncio.ensure_future(anext(updates))
            await asyncio.sleep(0.03)
            kube.put(destination_rule("d", "reviews", {"v1": {"version": "v1"}}))
            both = {kind for kind, *_key in (await waiting).change.configs}
            started = asyncio.get_running_loop().time()
            kube.put(
                virtual_service("b", ["x.example"], [{"route": [{"destination": {"host": "reviews", "subset": "no"}}]}])
            )
            alone = {kind for kind, *_key in (await anext(updates)).change.configs}
        watching.cancel()
        return both, alone, asyncio.get_running_loop().time() - started

    both, alone, seconds = asyncio.run(play())
    assert both == {"VirtualService", "DestinationRule"}
    assert alone == {"VirtualService"}
    assert seconds < 0.5


def test_a_burst_becomes_one_update_and_none_comes_before_the_first_lists() -> None:
    async def play() -> tuple[int, int]:
        kube = MemoryKube(service("reviews", "10.96.0.7"))
        store = MeshStore(kube, Settings())
        watching = asyncio.create_task(store.watch())
        updates = store.updates()
        async with asyncio.timeout(5):
            first = await anext(updates)
            for number in range(20):
                kube.put(service(f"s{number}", f"10.96.1.{number}"))
            second = await anext(updates)
        watching.cancel()
        return len(first.snapshot.services), len(second.snapshot.services)

    assert asyncio.run(play()) == (1, 21)


def test_a_stream_of_changes_becomes_few_updates_and_a_lone_one_comes_at_once() -> None:
    async def play() -> tuple[int, float]:
        kube = MemoryKube()
        store = MeshStore(kube, Settings())
        watching = asyncio.create_task(store.watch())
        updates, taken = store.updates(), []

        async def take() -> None:
            async for update in updates:
                taken.append(update.snapshot)  # noqa: PERF401  looked at from outside while it grows

        taking = asyncio.create_task(take())
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            started, number = loop.time(), 0
            while loop.time() - started < 1.0:
                kube.put(service(f"s{number}", "10.96.1.1"))
                number += 1
                await asyncio.sleep(0.01)
            while not taken or len(taken[-1].services) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            streamed = len(taken)
            await asyncio.sleep(0.5)
            at = loop.time()
            kube.put(service("last", "10.96.1.2"))
            while len(taken) == streamed:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        taking.cancel()
        watching.cancel()
        return streamed, loop.time() - at

    streamed, lone = asyncio.run(play())
    assert streamed < 6
    assert lone < 0.15


def test_an_address_that_a_host_network_pod_leaves_is_another_ones() -> None:
    first, second = (pod(name, "172.18.0.2", {"app": name}, name) for name in ("first", "second"))
    for one in (first, second):
        one["spec"]["hostNetwork"] = True
    index = index_of(service("node", "10.96.0.9"), first, second, endpoint_slice("node", ["172.18.0.2"]))
    change = index.apply(resources.PODS, Event("delete", first))
    assert index.snapshot().pods["172.18.0.2"].name == "second"
    (endpoint,) = index.snapshot().endpoints["node.shop.svc.cluster.local"]
    assert (endpoint.service_account, change.proxies) == ("second", {"172.18.0.2"})
    index.apply(resources.PODS, Event("delete", second))
    assert not index.snapshot().pods
