"""The routes of the subresources that stream: log, exec, attach, portforward and proxy.

Refusals are StatusErrors for the server's middleware; what happens on a connection is in ``streams``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from pytest_mesh.clusters.local.apiserver.streams import commands, forwards, logs, proxies, targets
from pytest_mesh.clusters.local.apiserver.streams.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_mesh.clusters.local.apiserver.server import Server

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NAMESPACED = "/api/v1/namespaces/{namespace}"
POD = NAMESPACED + "/pods/{name}"


def routes(server: Server) -> list[web.RouteDef]:
    """Give the routes."""
    store, kubelet = server.store, Kubelet(socket=server.run_dir / "kubelet.sock")

    async def log(request: web.Request) -> web.StreamResponse:
        return await logs.serve(request, store, kubelet)

    async def execute(request: web.Request) -> web.StreamResponse:
        return await commands.serve(request, store, kubelet, action="exec")

    async def attach(request: web.Request) -> web.StreamResponse:
        return await commands.serve(request, store, kubelet, action="attach")

    async def forward(request: web.Request) -> web.StreamResponse:
        return await forwards.serve(request, store, kubelet)

    async def pod_proxy(request: web.Request) -> web.StreamResponse:
        namespace, target = request.match_info["namespace"], request.match_info["target"]
        return await proxies.serve(request, targets.pod_location(store, namespace, target))

    async def service_proxy(request: web.Request) -> web.StreamResponse:
        namespace, target = request.match_info["namespace"], request.match_info["target"]
        return await proxies.serve(request, targets.service_location(store, namespace, target))

    def connect(path: str, handler: Handler) -> list[web.RouteDef]:
        return [web.get(path, handler, allow_head=False), web.post(path, handler)]

    return [
        web.get(f"{POD}/log", log, allow_head=False),
        *connect(f"{POD}/exec", execute),
        *connect(f"{POD}/attach", attach),
        *connect(f"{POD}/portforward", forward),
        web.route("*", f"{NAMESPACED}/pods/{{target}}/proxy{{path:(/.*)?}}", pod_proxy),
        web.route("*", f"{NAMESPACED}/services/{{target}}/proxy{{path:(/.*)?}}", service_proxy),
    ]
