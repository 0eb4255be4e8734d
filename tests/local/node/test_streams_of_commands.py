"""Commands in containers: their output waits for slow clients, their clients' errors are told, their ends are the first's."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from pytest_mesh.clusters.local.node import processes, streams
from pytest_mesh.clusters.local.node.backlogs import MOST_WAITING, Backlog
from pytest_mesh.clusters.local.node.runtime import Process
from pytest_mesh.clusters.local.races import first_of, lost_peers_bare


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


class HostRuntime:
    """Runs commands on the host."""

    async def execute(self, _, argv, fds):
        started = await asyncio.create_subprocess_exec(*argv, stdin=fds[0], stdout=fds[1], stderr=fds[2])
        self.exited = asyncio.ensure_future(started.wait())
        return Process("one", self.exited, started.send_signal)


async def executed(argv, *sent):
    """Send messages to a command's WebSocket; give (what it wrote, its status)."""
    life = SimpleNamespace(name="app", process=object(), command=lambda argv, **_: argv)

    async def handle(request):
        return await streams.execute(request, runtime, life, argv)

    runtime = HostRuntime()
    app = web.Application()
    app.router.add_get("/", handle)
    async with (
        TestServer(app) as server,
        ClientSession() as session,
        session.ws_connect(server.make_url("/?stdin=1&stdout=1"), protocols=("v5.channel.k8s.io",)) as websocket,
    ):
        for message in sent:
            await websocket.send_bytes(message)
        received = [message.data async for message in websocket]
        await runtime.exited
    output = b"".join(data[1:] for data in received if data[0] == 1)
    return output, next((json.loads(data[1:]) for data in received if data[0] == 3), None)


def test_a_process_that_writes_without_end_waits_for_a_slow_client():
    async def scenario():
        backlog = Backlog()
        stdio = processes.Stdio(backlog.put, stdin=False, tty=False)
        backlog.source = stdio
        with stdio.handed_over() as fds:
            process = await asyncio.create_subprocess_exec("yes", stdin=fds[0], stdout=fds[1], stderr=fds[2])
        try:
            await until(lambda: stdio._holding)
            most = backlog._size
            while stdio._holding:
                await backlog.get()
            await until(lambda: stdio._holding)
            return max(most, backlog._size)
        finally:
            process.kill()
            await process.wait()
            await stdio.drain()

    assert MOST_WAITING < asyncio.run(scenario()) <= MOST_WAITING + (1 << 16)


def test_the_last_words_of_a_process_that_was_held_up_are_whole():
    words = MOST_WAITING + (1 << 15)
    output, status = asyncio.run(executed(("head", "-c", str(words), "/dev/zero")))
    assert (len(output), status["status"]) == (words, "Success")


def test_a_size_of_a_terminal_that_is_none_leaves_the_command_running():
    output, status = asyncio.run(executed(("cat",), b"\x04{half", b'\x04{"Width": []}', b"\x00hello", b"\xff\x00"))
    assert (output, status["status"]) == (b"hello", "Success")


def test_an_error_of_the_nodes_ends_a_command_with_a_status(monkeypatch):
    async def broken(self, data):
        raise RuntimeError("no such pipe")

    monkeypatch.setattr(processes.Stdio, "feed", broken)
    _, status = asyncio.run(executed(("cat",), b"\x00hello"))
    assert (status["status"], status["code"]) == ("Failure", 500)
    assert "RuntimeError: no such pipe" in status["message"]


async def broken(error):
    async with asyncio.TaskGroup() as group:
        group.create_task(raising(error))
        await asyncio.Event().wait()


async def raising(error):
    raise error


def test_a_lost_peer_in_a_task_group_is_a_connection_error():
    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(first_of(asyncio.Event().wait(), broken(ConnectionResetError("gone"))))


def test_another_error_in_a_task_group_stays_as_it_is():
    with pytest.raises(ExceptionGroup) as raised, lost_peers_bare():
        raise ExceptionGroup("two", [ConnectionResetError("gone"), KeyError("x")])
    assert len(raised.value.exceptions) == 2


def test_the_first_of_none_that_ends_is_over_in_time():
    async def scenario():
        await first_of(asyncio.Event().wait(), seconds=0.01)

    asyncio.run(asyncio.wait_for(scenario(), 5))
