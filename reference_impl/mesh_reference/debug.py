"""The pages of the control plane: /ready and /debug on the HTTP port, /metrics and /version on the monitoring port.

Debug pages are for the Pod itself (a port-forward) and for callers with a mesh token: they tell of every namespace.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import prometheus_client
from aiohttp import web

from mesh_reference.ca.authentication import AuthenticationError
from mesh_reference.xds import metrics, status

if TYPE_CHECKING:
    from mesh_reference.app import Istiod
    from mesh_reference.xds.server import Authenticator

Json = dict[str, Any]

PAGES = {
    "config_dump": "what the proxy named by ?proxyID=pod.namespace is told",
    "configz": "Istio's resources as they are served",
    "endpointz": "endpoints by Service",
    "push_status": "the snapshot's version, and what is not served and why",
    "registryz": "Services",
    "syncz": "connected proxies, what they acknowledged and what they refused",
}


def application(istiod: Istiod, authenticator: Authenticator) -> web.Application:
    """The HTTP port. /ready is 200 once the first snapshot is in and every port is open, before that 503."""
    app = web.Application(middlewares=[_guard(authenticator)])

    async def ready(_request: web.Request) -> web.Response:
        if istiod.ready.is_set():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: the first snapshot of the mesh is not complete\n")

    async def index(_request: web.Request) -> web.Response:
        return web.Response(text="".join(f"/debug/{name}: {text}\n" for name, text in PAGES.items()))

    async def page(request: web.Request) -> web.Response:
        return _page(istiod, request.match_info["page"], request)

    app.router.add_get("/ready", ready)
    app.router.add_get("/debug", index)
    app.router.add_get("/debug/{page}", page)
    return app


def monitoring(istiod: Istiod) -> web.Application:
    """The monitoring port."""
    app = web.Application()

    async def serve_metrics(_request: web.Request) -> web.Response:
        text = prometheus_client.generate_latest(metrics.REGISTRY)
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    async def serve_version(_request: web.Request) -> web.Response:
        return _json({"version": version("pytest-mesh"), "revision": istiod.settings.revision})

    app.router.add_get("/metrics", serve_metrics)
    app.router.add_get("/version", serve_version)
    return app


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _guard(authenticator: Authenticator) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/debug") and not _local(request.remote):
            try:
                await authenticator.authenticate([("authorization", request.headers.get("Authorization", ""))])
            except AuthenticationError:
                return web.Response(status=401, text="debug pages need a mesh token, or a port-forward to this pod\n")
        return await handler(request)

    return guard


def _local(remote: str | None) -> bool:
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False


def _page(istiod: Istiod, name: str, request: web.Request) -> web.Response:
    if name not in PAGES:
        return web.Response(status=404, text=f"no such page; there are: {', '.join(PAGES)}\n")
    hub, store = istiod.hub, istiod.store
    if hub is None or store is None:
        return web.Response(status=503, text="not ready\n")
    snapshot = hub.configuration.snapshot
    if name == "syncz":
        return _json(status.syncz(hub))
    if name == "configz":
        return _json(list(store.index.configs.values()))
    if name == "endpointz":
        return _json(
            [
                {
                    "svc": host,
                    "endpoints": [
                        {
                            "address": item.address,
                            "ports": dict(item.ports),
                            "ready": item.ready,
                            "labels": dict(item.labels),
                            "serviceAccount": item.service_account,
                            "tlsMode": item.tls_mode,
                        }
                        for item in found
                    ],
                }
                for host, found in sorted(snapshot.endpoints.items())
            ]
        )
    if name == "registryz":
        return _json(
            [
                {
                    "hostname": service.hostname,
                    "namespace": service.meta.namespace,
                    "addresses": service.addresses,
                    "headless": service.headless,
                    "ports": [
                        {"port": port.number, "name": port.name, "protocol": port.protocol} for port in service.ports
                    ],
                }
                for _host, service in sorted(snapshot.services.items())
            ]
        )
    if name == "push_status":
        return _json(
            {
                "version": snapshot.version,
                "connected": len(list(hub.sessions)),
                "problems": [
                    {"object": item.object, "message": item.text, "served": item.served}
                    for found in store.index.problems.values()
                    for item in found
                ],
            }
        )
    return _dump(istiod, request.query.get("proxyID", ""))


def _dump(istiod: Istiod, proxy_id: str) -> web.Response:
    assert istiod.hub is not None  # noqa: S101  checked by the only caller
    found = status.config_dump(istiod.hub, proxy_id)
    if found is None:
        known = ", ".join(session.proxy.id for session in istiod.hub.sessions) or "none"
        return web.Response(status=404, text=f"no proxy {proxy_id!r} is connected; name one with ?proxyID=: {known}\n")
    return _json(found)


def _json(value: Any) -> web.Response:
    return web.Response(text=json.dumps(value, indent=2) + "\n", content_type="application/json")
