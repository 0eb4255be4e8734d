"""What the cluster's owner may ask beyond Kubernetes' API, on a Unix socket in the run directory.

``POST /watches/reset``. Whoever can open the socket is its owner: authentication is the run directory's mode, and
containers do not see that directory. None of it is reachable by the API's own addresses.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

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

    async def reset(_: web.Request) -> web.Response:
        return web.json_response({"resourceVersion": str(server.store.compact())})

    application.router.add_post("/watches/reset", reset)
    return application
