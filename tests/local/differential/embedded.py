"""The embedded API server on a loopback port, in a thread of its own: no node, no namespaces, no TLS."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from pytest_mesh.clusters.local.apiserver import __main__ as program
from pytest_mesh.clusters.local.apiserver import first_objects, front


async def _serve(folder: Path, box: dict[str, Any], ready: threading.Event) -> None:
    box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
    server = program._assemble(argparse.Namespace(run_dir=folder, node_address="10.244.0.1"))
    runner = front.runner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await first_objects.create(server, port=6443)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        box["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        box["token"] = server.authenticator.admin_token
        ready.set()
        await box["stop"].wait()
    finally:
        ready.set()
        server.store.stop()
        await runner.cleanup()


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[tuple[str, str]]:
    """Run the server; gives (URL, administrator's token)."""
    box: dict[str, Any] = {}
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(folder, box, ready)))
    thread.start()
    try:
        assert ready.wait(10)
        assert "url" in box, "the server did not start"
        yield box["url"], box["token"]
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(10)
        assert not thread.is_alive()
