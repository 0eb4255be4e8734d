"""What istiod asks of gRPC is something that the pinned gRPC knows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mesh_reference import app_command

SERVES = """
import asyncio, grpc

async def main():
    server = grpc.aio.server()
    assert server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await server.stop(0)

asyncio.run(main())
"""


@pytest.mark.parametrize(("experiments", "is_known"), [(app_command.GRPC_EXPERIMENTS, True), ("-no_such_thing", False)])
def test_the_way_of_polling_is_one_that_grpc_knows(experiments: str, *, is_known: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVES],
        env={**os.environ, "GRPC_EXPERIMENTS": experiments},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert ("Unknown experiment" not in done.stderr) == is_known
