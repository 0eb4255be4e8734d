"""The election: one leads, another takes over when it goes or falls silent, and never both at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "xds"))

import pytest
from memory_kube import MemoryKube

from mesh_reference.errors import ApiFailure, NotFound
from mesh_reference.kube.leadership import Leadership
from mesh_reference.kube.resources import LEASES


class Cut(MemoryKube):
    """An API server that this candidate cannot reach any more, or may not ask."""

    def __init__(self, inner: MemoryKube, status: int = 0) -> None:
        self.inner, self.status, self.cut, self.looks = inner, status, False, 0

    async def get(self, resource, name, namespace=None):
        self.looks += 1
        if self.cut:
            raise ApiFailure("no answer", status=self.status)
        return await self.inner.get(resource, name, namespace)

    async def create(self, resource, obj):
        return await self.inner.create(resource, obj)

    async def replace(self, resource, obj):
        if self.cut:
            raise ApiFailure("no answer", status=self.status)
        return await self.inner.replace(resource, obj)


def candidate(kube: MemoryKube, name: str) -> Leadership:
    return Leadership(kube, "istio-system", "leader", name, duration=0.6, retry=0.02)


def play(script: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            await script(tasks)

    asyncio.run(run())


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_of_two_one_leads_and_the_other_follows_it_when_it_stops() -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Counted()
        one, two = candidate(kube, "one"), candidate(kube, "two")
        first = tasks.create_task(one.run(for_ever))
        await one.leading.wait()
        seen = kube.looks
        second = tasks.create_task(two.run(for_ever))
        await looked(kube, seen + 3)
        assert not two.leading.is_set()
        started = asyncio.get_running_loop().time()
        first.cancel()
        await two.leading.wait()
        assert asyncio.get_running_loop().time() - started < 0.3  # the Lease was given up, not left to run out
        second.cancel()

    play(script)


def test_a_leader_that_falls_silent_stops_its_work_before_another_begins() -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Counted()
        cut = Cut(kube)
        working: set[str] = set()

        def work(name: str) -> Callable[[], Awaitable[None]]:
            async def do() -> None:
                assert not working, "two lead"
                working.add(name)
                try:
                    await for_ever()
                finally:
                    working.discard(name)

            return do

        one, two = candidate(cut, "one"), candidate(kube, "two")
        first = tasks.create_task(one.run(work("one")))
        await one.leading.wait()
        seen = kube.looks
        second = tasks.create_task(two.run(work("two")))
        await looked(kube, seen + 3)
        cut.cut = True
        await two.leading.wait()
        while working != {"two"}:  # noqa: ASYNC110  the work begins a step after, and tells nobody
            await asyncio.sleep(0.005)
        lease = await kube.get(LEASES, "leader", "istio-system")
        assert lease["spec"]["leaseTransitions"] == 1
        first.cancel()
        second.cancel()

    play(script)


class Counted(MemoryKube):
    """An API server that counts the looks at a Lease and how often it was written."""

    looks = writes = 0

    async def get(self, resource, name, namespace=None):
        self.looks += 1
        return await super().get(resource, name, namespace)

    async def replace(self, resource, obj):
        answer = await super().replace(resource, obj)
        self.writes += 1
        return answer


async def renewed(kube: Counted, times: int) -> None:
    wanted = kube.writes + times
    while kube.writes < wanted:  # noqa: ASYNC110  the server tells nobody what it counts
        await asyncio.sleep(0.01)


def test_a_leader_renews_its_lease_without_looking_at_it() -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Counted()
        one = candidate(kube, "one")
        task = tasks.create_task(one.run(for_ever))
        await renewed(kube, 5)
        assert kube.looks == 1
        task.cancel()

    play(script)


def test_a_lease_that_somebody_else_edits_stays_its_holders_and_keeps_the_edit() -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Counted()
        one = candidate(kube, "one")
        task = tasks.create_task(one.run(for_ever))
        await one.leading.wait()
        lease = await kube.get(LEASES, "leader", "istio-system")
        lease["metadata"]["annotations"] = {"why": "to look at it"}
        await kube.replace(LEASES, lease)
        await renewed(kube, 3)
        assert one.leading.is_set()
        kept = await kube.get(LEASES, "leader", "istio-system")
        assert kept["metadata"]["annotations"] == {"why": "to look at it"}
        task.cancel()

    play(script)


class Unserved(MemoryKube):
    """An API server without Leases; or, by ``missing``, without the namespace."""

    looks = 0
    missing = "leases"

    async def create(self, _resource, _obj):
        self.looks += 1
        body = {"reason": "NotFound", "details": {"kind": self.missing}} if self.missing == "namespaces" else None
        raise NotFound("the server could not find the requested resource", status=404, body=body)


async def looked(kube: Counted | Cut | Unserved, times: int) -> None:
    while kube.looks < times:  # noqa: ASYNC110  the server tells nobody what it counts
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("server", ["forbids", "lacks"])
def test_without_leases_a_control_plane_takes_itself_for_the_only_one_and_goes_on(server: str) -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Unserved()
        if server == "forbids":
            kube = Cut(MemoryKube(), status=403)
            kube.cut = True
        begun = []

        async def work() -> None:
            begun.append("once")
            await for_ever()

        only = Leadership(kube, "istio-system", "leader", "only", duration=0.06, retry=0.01)
        running = tasks.create_task(only.run(work))
        await looked(kube, 12)  # twice the Lease's duration
        assert begun == ["once"]
        assert only.leading.is_set()
        running.cancel()

    play(script)


def test_where_leases_come_to_be_allowed_one_is_taken_without_a_break() -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Cut(Counted(), status=403)
        kube.cut = True
        begun = []

        async def work() -> None:
            begun.append("once")
            await for_ever()

        one = candidate(kube, "one")
        running = tasks.create_task(one.run(work))
        await one.leading.wait()
        kube.cut = False
        await renewed(kube.inner, 1)
        assert begun == ["once"]
        running.cancel()

    play(script)


def test_nobody_leads_in_a_namespace_that_is_not_there() -> None:
    async def script(tasks: asyncio.TaskGroup) -> None:
        kube = Unserved()
        kube.missing = "namespaces"
        one = candidate(kube, "one")
        running = tasks.create_task(one.run(for_ever))
        await looked(kube, 3)
        assert not one.leading.is_set()
        running.cancel()

    play(script)


def test_what_fails_in_the_work_is_told() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(candidate(MemoryKube(), "one").run(fail))
