"""The Envoy routes of one VirtualService for one client and listener port, and a Service's default route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes

from mesh_reference.xds import names, route_actions, route_filters
from mesh_reference.xds.messages import config_path, istio_metadata
from mesh_reference.xds.route_matches import SIDECARS, applies, is_catch_all, route_match

if TYPE_CHECKING:
    from mesh_reference.model.http_routes import HttpMatch, HttpRoute
    from mesh_reference.model.traffic_policies import ConsistentHash
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.xds.route_actions import Targets
    from mesh_reference.xds.route_matches import Client


def any_for(service: VirtualService, client: Client, port: int) -> bool:
    """Is there a route left for this client at all (F5)?"""
    return any(
        not route.matches or any(applies(match, client, port) for match in route.matches) for route in service.http
    )


def for_virtual_service(
    service: VirtualService, client: Client, port: int, targets: Targets, gateways: frozenset[str] = SIDECARS
) -> tuple[routes.Route, ...]:
    """Every route that can be reached: generation stops at the first catch-all (§1.3).

    Empty when all blocks are filtered out statically: then the Service's default applies (F5).
    """
    out: list[routes.Route] = []
    for route in service.http:
        for match in route.matches or (None,):
            if match is not None and not applies(match, client, port, gateways):
                continue
            made = _route(service, route, match, port, targets)
            out.append(made)
            if is_catch_all(made.match):
                return tuple(out)
    return tuple(out)


def default(host: str, port: int, hashing: ConsistentHash | None) -> routes.Route:
    """The route of a Service without a VirtualService."""
    return routes.Route(
        name=names.DEFAULT_ROUTE,
        match=routes.RouteMatch(prefix="/"),
        decorator=routes.Decorator(operation=names.operation(host, port)),
        route=route_actions.plain_action(names.outbound_cluster(host, port), hashing),
    )


def _route(
    service: VirtualService, route: HttpRoute, match: HttpMatch | None, port: int, targets: Targets
) -> routes.Route:
    out = routes.Route(
        name=_name(route, match),
        match=route_match(match),
        metadata=istio_metadata(config=config_path("virtual-service", service.meta)),
        stat_prefix=match.stat_prefix if match else "",
    )
    route_actions.set_action(out, route, port, targets)
    out.decorator.operation = _operation(out, service.meta.name, port)
    for key, value in route_filters.per_filter(route).items():
        out.typed_per_filter_config[key].CopyFrom(value)
    return out


def _name(route: HttpRoute, match: HttpMatch | None) -> str:
    """M1: ``route.match``."""
    return f"{route.name}.{match.name}" if match and match.name else route.name


def _operation(out: routes.Route, virtual_service: str, port: int) -> str:
    """``host:port/path`` with a single destination, else the VirtualService's name in the host's place."""
    path = out.match.path or out.match.safe_regex.regex or f"{out.match.prefix}*"
    target = names.parse_outbound_cluster(out.route.cluster) if out.HasField("route") else None
    if target:
        return names.operation(target[0], target[1], path)
    return names.operation(virtual_service, port, path)
