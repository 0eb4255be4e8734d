"""A handler that raises is answered with 500 and the reason, and its connection goes on."""

from __future__ import annotations

import asyncio
import json

import pytest

from pytest_mesh.contracts import Batch, Request
from pytest_mesh.workloads.batches import run_batch
from pytest_mesh.workloads.server import ServerProtocol


def at_once(message, address):
    raise KeyError("absent")


def later(message, address):
    async def answer():
        async with asyncio.TaskGroup() as group:
            group.create_task(broken())

    async def broken():
        raise KeyError("absent")

    return answer()


@pytest.mark.parametrize("scheme", ["http", "http2"])
@pytest.mark.parametrize("handler", [at_once, later])
def test_an_error_of_a_handler_is_a_500_and_the_connection_answers_again(scheme, handler):
    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: ServerProtocol(handler, set()), "127.0.0.1", 0)
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        try:
            return await run_batch(Batch(requests=(Request(url=url, timeout=2),), count=2, connections=1))
        finally:
            server.close()

    found = asyncio.run(run())["observations"]

    assert [(one["status"], one["connection"]) for one in found] == [(500, 0), (500, 0)]
    assert "the workload failed: KeyError: 'absent'" in json.loads(found[1]["body"])["error"]
