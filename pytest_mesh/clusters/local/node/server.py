"""The kubelet's own API, on a Unix socket that only the API server calls: logs, exec, attach, port-forward.

Refusals are plain text with an HTTP status, given before a WebSocket is
opened. Authentication is the run directory's mode.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from pytest_mesh.clusters.local.node import container_logs, streams
from pytest_mesh.clusters.local.node.runtime import StartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pytest_mesh.clusters.local.node.container_lives import ContainerLife
    from pytest_mesh.clusters.local.node.kubelet import Kubelet
    from pytest_mesh.clusters.local.node.pod_workers import PodWorker

log = logging.getLogger(__name__)

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


@contextlib.asynccontextmanager
async def serving(kubelet: Kubelet, path: Path) -> AsyncIterator[None]:
    """Serve at the Unix socket ``path`` while the block runs."""
    runner = web.AppRunner(application(kubelet), access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield
    finally:
        await runner.cleanup()


def application(kubelet: Kubelet) -> web.Application:
    """Give the application."""
    handlers = Handlers(kubelet)
    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", handlers.logs)
    application.router.add_get("/exec/{namespace}/{pod}/{container}", handlers.execute)
    application.router.add_get("/attach/{namespace}/{pod}/{container}", handlers.attach)
    application.router.add_get("/portForward/{namespace}/{pod}", handlers.forward)
    return application


class Handlers:
    """One method per route."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """Stream a container's log; of the run before the present one with ``previous``."""
        life = self._container(request)
        query = request.query
        if not life.logs:
            waiting = life.view.state.get("waiting") or {}
            why = waiting.get("message") or waiting.get("reason") or "not started"
            why = waiting["reason"] if waiting.get("reason") == "ErrImageNeverPull" else why
            raise web.HTTPBadRequest(
                text=f'container "{life.name}" in pod "{request.match_info["pod"]}" is waiting to start: {why}'
            )
        previous = query.get("previous") in _TRUE
        if previous and len(life.logs) < 2:
            pod = request.match_info["pod"]
            raise web.HTTPBadRequest(text=f'previous terminated container "{life.name}" in pod "{pod}" not found')
        run = life.logs[-2 if previous else -1]
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for chunk in container_logs.read(
            run.path,
            run,
            follow=query.get("follow") in _TRUE,
            tail=_number(query.get("tailLines")),
            since=_since(query.get("sinceSeconds"), query.get("sinceTime")),
            timestamps=query.get("timestamps") in _TRUE,
            limit=_number(query.get("limitBytes")),
        ):
            await response.write(chunk)
        with contextlib.suppress(ConnectionResetError):  # whoever followed the log has gone
            await response.write_eof()
        return response

    async def execute(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container over a WebSocket."""
        life = self._container(request)
        argv = tuple(request.query.getall("command", []))
        if not argv:
            raise web.HTTPBadRequest(text="no command")
        if life.process is None:
            raise web.HTTPInternalServerError(text=streams.not_running(life))
        runtime = self._kubelet.parts.runtime
        return await streams.execute(request, runtime, life, argv)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """Follow a running container's output, and feed its input if it takes one."""
        life = self._container(request)
        if life.process is None or life.stdio is None:
            raise web.HTTPInternalServerError(text=streams.not_attachable(request, life))
        return await streams.attach(request, life)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Carry one TCP connection to the pod's loopback."""
        worker = self._pod(request)
        port = _number(request.query.get("port")) or 0
        if worker.sandbox.net < 0:
            raise web.HTTPInternalServerError(text=f"pod {request.match_info['pod']} has no network")
        try:
            connection = await self._kubelet.parts.runtime.connect(worker.sandbox, port)
        except (OSError, StartError) as error:
            raise web.HTTPInternalServerError(
                text=f"failed to connect to localhost:{port} inside pod {request.match_info['pod']}: {error}"
            ) from error
        return await streams.forward(request, connection)

    def _pod(self, request: web.Request) -> PodWorker:
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        worker = self._kubelet.worker(namespace, name)
        if worker is None:
            raise web.HTTPNotFound(text=f"pod {namespace}/{name} is not on this node")
        return worker

    def _container(self, request: web.Request) -> ContainerLife:
        name = request.match_info["container"]
        life = self._pod(request).life(name)
        if life is None:
            raise web.HTTPNotFound(text=f"pod {request.match_info['pod']} has no container {name}")
        return life


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _since(seconds: str | None, moment: str | None) -> str:
    if seconds:
        return container_logs.timestamp(time.time_ns() - int(seconds) * 10**9)
    if moment:
        return container_logs.timestamp(int(dt.datetime.fromisoformat(moment).timestamp() * 10**9))
    return ""
