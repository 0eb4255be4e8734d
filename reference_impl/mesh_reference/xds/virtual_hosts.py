"""A planned virtual host as a VirtualHost message (§1.2). Which hosts there are is planned elsewhere (``host_plans``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes

from mesh_reference.settings import OutboundPolicy
from mesh_reference.xds import http_routes, names
from mesh_reference.xds.messages import NO_TIMEOUT

if TYPE_CHECKING:
    from mesh_reference.xds.host_plans import HostPlan
    from mesh_reference.xds.listeners_outbound import Unknown
    from mesh_reference.xds.route_actions import Targets
    from mesh_reference.xds.route_matches import Client


def build(planned: HostPlan, client: Client, targets: Targets) -> routes.VirtualHost:
    """The message of a plan."""
    if planned.virtual_service is not None:
        made = http_routes.for_virtual_service(planned.virtual_service, client, planned.port, targets)
    else:
        made = (http_routes.default(planned.host, planned.port, targets.service_hash(planned.host, planned.port)),)
    return routes.VirtualHost(
        name=planned.name, domains=planned.domains, routes=made, include_request_attempt_count=True
    )


def catch_all(unknown: Unknown) -> routes.VirtualHost:
    """Unknown hosts: on to where the client wanted, or to the egress proxy (F6, S8); or 502 (F7)."""
    if unknown.policy is OutboundPolicy.ALLOW_ANY:
        name = names.ALLOW_ANY
        route = routes.Route(
            name=name,
            match=routes.RouteMatch(prefix="/"),
            route=routes.RouteAction(cluster=unknown.cluster, timeout=NO_TIMEOUT, max_grpc_timeout=NO_TIMEOUT),
        )
    else:
        name = names.BLOCK_ALL
        route = routes.Route(
            name=name,
            match=routes.RouteMatch(prefix="/"),
            direct_response=routes.DirectResponseAction(status=502),
        )
    return routes.VirtualHost(name=name, domains=["*"], routes=[route], include_request_attempt_count=True)
