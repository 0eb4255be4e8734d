"""The route configurations of a gateway: virtual hosts of the VirtualServices that are bound to its servers (B8, B9, F12). Pure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes

from mesh_reference.xds import http_routes
from mesh_reference.xds.host_plans import Plans
from mesh_reference.xds.resources import encode
from mesh_reference.xds.route_matches import is_catch_all
from mesh_reference.xds.route_tables import BUILD_ERRORS, RouteTable
from mesh_reference.xds.targets import ClientTargets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh_reference.model.gateways import Gateway, Server
    from mesh_reference.model.http_routes import Destination
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.xds.resources import Encoded
    from mesh_reference.xds.route_matches import Client

logger = logging.getLogger(__name__)


class GatewayTargets(ClientTargets):
    """A gateway has every Service in sight whole: the only port of one counts before the listener's (B14)."""

    def cluster(self, destination: Destination, port: int) -> str:
        return self.l4_cluster(destination, port)


def table(
    name: str,
    servers: Sequence[tuple[Gateway, Server]],
    services: Iterable[VirtualService],
    client: Client,
    targets: GatewayTargets,
) -> RouteTable:
    """The route configuration that these servers share. Hosts nobody has routes for get 404 (F12)."""
    port = servers[0][1].port
    made: dict[str, routes.VirtualHost] = {}
    bound = [(item, _names(item, servers)) for item in services]
    for item, gateways in bound:
        if not gateways:
            continue
        try:
            found = http_routes.for_virtual_service(item, client, port, targets, gateways)
        except BUILD_ERRORS as error:
            logger.error("VirtualService %s is left out: %s", item.meta.name, error)  # noqa: TRY400  the text says it
            continue
        if not found:
            continue
        hosts = {
            common: server
            for gateway, server in reversed(servers)
            if gateway.name in gateways
            for host in item.hosts
            for common in server.common(item.meta.namespace, host)
        }
        for name_of_host, server in hosts.items():
            into = made.setdefault(name_of_host, _virtual_host(name_of_host, port, server))
            into.routes.extend(found)
    for virtual_host in made.values():
        _sort(virtual_host)
    redirecting = [server for _gateway, server in servers if server.tls is not None and server.tls.redirect]
    for server in redirecting:
        for _namespace, host in server.hosts:
            made.setdefault(host, _virtual_host(host, port, server))
    if not made:
        made["*"] = routes.VirtualHost(name=f"blackhole:{port}", domains=["*"])
    encoded: dict[str, Encoded] = {
        host.name: encode(f"{name}/{host.name}", host) for _name, host in sorted(made.items())
    }
    return RouteTable(name=name, port=port, plans=Plans(hosts={}), made=encoded)


def _names(item: VirtualService, servers: Sequence[tuple[Gateway, Server]]) -> frozenset[str]:
    return frozenset(gateway.name for gateway, _server in servers if gateway.name in item.gateways)


def _virtual_host(host: str, port: int, server: Server) -> routes.VirtualHost:
    """B9: with httpsRedirect everything is answered by 301."""
    out = routes.VirtualHost(name=f"{host}:{port}", domains=[host], include_request_attempt_count=True)
    if server.tls is not None and server.tls.redirect:
        out.require_tls = routes.VirtualHost.ALL
    return out


def _sort(host: routes.VirtualHost) -> None:
    """B8: in the order of creation, but what takes everything comes last."""
    found = list(host.routes)
    del host.routes[:]
    host.routes.extend(route for route in found if not is_catch_all(route.match))
    host.routes.extend(route for route in found if is_catch_all(route.match))
