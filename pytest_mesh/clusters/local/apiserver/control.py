"""What the cluster's owner may ask beyond Kubernetes' API, on a Unix socket in the run directory.

``POST /watches/reset``; ``POST /snapshots``, ``POST /snapshots/ID/restoration`` (``{"seconds": N}``) and ``DELETE
/snapshots/ID``. Whoever can open the socket is the owner: authentication is the run directory's mode, and containers do
not see that directory. None of it is reachable by the API's own addresses.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from pytest_mesh.clusters.local.apiserver.restoring import Snapshots
from pytest_mesh.clusters.local.control import SOCKET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_mesh.clusters.local.apiserver.server import Server


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[None]:
    """Serve at the socket while the block runs."""
    runner = web.AppRunner(application(server), access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(server.run_dir / SOCKET)).start()
        yield
    finally:
        await runner.cleanup()


def application(server: Server) -> web.Application:
    """Give the application."""
    application = web.Application()
    snapshots = Snapshots(server)

    async def reset(_: web.Request) -> web.Response:
        return web.json_response({"resourceVersion": str(server.store.compact())})

    async def take(_: web.Request) -> web.Response:
        return web.json_response(snapshots.take())

    async def restore(request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in snapshots:
            return web.Response(status=404, text=f"no snapshot {name}")
        return web.json_response(await snapshots.restore(name, float((await request.json())["seconds"])))

    async def forget(request: web.Request) -> web.Response:
        snapshots.forget(request.match_info["id"])
        return web.json_response({})

    application.router.add_post("/watches/reset", reset)
    application.router.add_post("/snapshots", take)
    application.router.add_post("/snapshots/{id}/restoration", restore)
    application.router.add_delete("/snapshots/{id}", forget)
    return application
