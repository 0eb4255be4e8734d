"""What happens to a matched request: destinations, redirects, direct responses and everything applied on the way (§1.4)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as routes
from envoy.type.matcher.v3 import regex_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds import retries
from mesh_reference.xds.header_changes import EnvoyHeaders, translate
from mesh_reference.xds.messages import NO_TIMEOUT, maybe_seconds, runtime_fraction, seconds

if TYPE_CHECKING:
    from mesh_reference.model.http_routes import (
        Destination,
        DirectResponse,
        HttpRoute,
        Mirror,
        Redirect,
        Rewrite,
        WeightedDestination,
    )
    from mesh_reference.model.traffic_policies import ConsistentHash

logger = logging.getLogger(__name__)

REDIRECT_CODES = {
    0: routes.RedirectAction.MOVED_PERMANENTLY,
    301: routes.RedirectAction.MOVED_PERMANENTLY,
    302: routes.RedirectAction.FOUND,
    303: routes.RedirectAction.SEE_OTHER,
    307: routes.RedirectAction.TEMPORARY_REDIRECT,
    308: routes.RedirectAction.PERMANENT_REDIRECT,
}


class Targets(Protocol):
    """What actions need to know of the mesh."""

    def cluster(self, destination: Destination, port: int) -> str:
        """The cluster of a destination, for a listener on ``port`` (B14)."""
        ...

    def hash(self, destination: Destination) -> ConsistentHash | None:
        """The consistent hash that the destination's DestinationRule asks for (D3)."""
        ...

    def service_hash(self, host: str, port: int) -> ConsistentHash | None:
        """The same for a Service's default route."""
        ...


def set_action(out: routes.Route, route: HttpRoute, port: int, targets: Targets) -> None:
    """Give the Envoy route its action and header changes. A redirect code that Envoy lacks leaves no action (R5)."""
    headers = translate(route.headers)
    add_headers(out, headers)
    if route.redirect is not None:
        _set_redirect(out, route.redirect, port)
    elif route.direct_response is not None:
        out.direct_response.CopyFrom(_direct_response(route.direct_response))
    else:
        _set_destinations(out, route, headers.authority, port, targets)


def add_headers(out: routes.Route | routes.WeightedCluster.ClusterWeight, headers: EnvoyHeaders) -> None:
    """Append header changes to a route or to one branch of it (R17, W8)."""
    out.request_headers_to_add.extend(headers.request_add)
    out.request_headers_to_remove.extend(headers.request_remove)
    out.response_headers_to_add.extend(headers.response_add)
    out.response_headers_to_remove.extend(headers.response_remove)


def plain_action(cluster: str, hashing: ConsistentHash | None) -> routes.RouteAction:
    """A Service's default route: no timeout, default retries."""
    action = routes.RouteAction(cluster=cluster, retry_policy=retries.policy(None, hashed=False))
    _set_timeout(action, None)
    _add_hash(action, hashing)
    return action


def _set_destinations(out: routes.Route, route: HttpRoute, authority: str, port: int, targets: Targets) -> None:
    action = out.route
    _set_timeout(action, route.timeout)
    if route.rewrite is not None:
        _set_rewrite(action, route.rewrite)
        authority = route.rewrite.authority or authority
    if authority:
        action.host_rewrite_literal = authority
    action.request_mirror_policies.extend(_mirror(mirror, port, targets) for mirror in route.mirrors)
    hashed = False
    if len(route.destinations) == 1:
        # W3: a single destination gets everything, whatever its weight.
        hashed = _set_single(out, route.destinations[0], port, targets)
    else:
        # W4: a branch of weight 0 is left out.
        for branch in (item for item in route.destinations if item.weight > 0):
            _add_branch(action, branch, port, targets)
    policy = retries.policy(route.retries, hashed=hashed)
    if policy is not None:
        action.retry_policy.CopyFrom(policy)


def _set_single(out: routes.Route, only: WeightedDestination, port: int, targets: Targets) -> bool:
    action = out.route
    action.cluster = targets.cluster(only.destination, port)
    headers = translate(only.headers)
    add_headers(out, headers)
    if headers.authority and not action.host_rewrite_literal:
        action.host_rewrite_literal = headers.authority
    hashing = targets.hash(only.destination)
    _add_hash(action, hashing)
    return hashing is not None


def _add_branch(action: routes.RouteAction, branch: WeightedDestination, port: int, targets: Targets) -> None:
    """W1, W2: Envoy divides by the sum of the weights. W8: headers of the branch alone."""
    headers = translate(branch.headers)
    weighted = action.weighted_clusters.clusters.add(
        name=targets.cluster(branch.destination, port), weight=wrappers_pb2.UInt32Value(value=branch.weight)
    )
    add_headers(weighted, headers)
    if headers.authority:
        weighted.host_rewrite_literal = headers.authority
    _add_hash(action, targets.hash(branch.destination))


def _set_timeout(action: routes.RouteAction, timeout: float | None) -> None:
    """R10: unset = none; the timeout also bounds what ``grpc-timeout`` may ask for."""
    limit = seconds(timeout) if timeout else NO_TIMEOUT
    action.timeout.CopyFrom(limit)
    action.max_grpc_timeout.CopyFrom(limit)


def _set_rewrite(action: routes.RouteAction, rewrite: Rewrite) -> None:
    """R1, R2."""
    if rewrite.regex is not None:
        pattern, substitution = rewrite.regex
        action.regex_rewrite.CopyFrom(
            regex_pb2.RegexMatchAndSubstitute(pattern=regex_pb2.RegexMatcher(regex=pattern), substitution=substitution)
        )
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


def _mirror(mirror: Mirror, port: int, targets: Targets) -> routes.RouteAction.RequestMirrorPolicy:
    """R7: the copy keeps its Host, without ``-shadow``."""
    return routes.RouteAction.RequestMirrorPolicy(
        cluster=targets.cluster(mirror.destination, port),
        runtime_fraction=runtime_fraction(mirror.percent),
        trace_sampled=wrappers_pb2.BoolValue(value=False),
        disable_shadow_host_suffix_append=True,
    )


def _add_hash(action: routes.RouteAction, hashing: ConsistentHash | None) -> None:
    """D3: what the ring is asked with."""
    if hashing is None:
        return
    policy = routes.RouteAction.HashPolicy()
    if hashing.header:
        policy.header.header_name = hashing.header
    elif hashing.cookie is not None:
        name, path, ttl, attributes = hashing.cookie
        policy.cookie.CopyFrom(
            routes.RouteAction.HashPolicy.Cookie(
                name=name,
                path=path,
                ttl=maybe_seconds(ttl),
                attributes=[
                    routes.RouteAction.HashPolicy.CookieAttribute(name=key, value=value) for key, value in attributes
                ],
            )
        )
    elif hashing.source_ip:
        policy.connection_properties.source_ip = True
    elif hashing.query:
        policy.query_parameter.name = hashing.query
    else:
        return
    action.hash_policy.append(policy)


def _set_redirect(out: routes.Route, redirect: Redirect, port: int) -> None:
    """R4, R5."""
    code = REDIRECT_CODES.get(redirect.code)
    if code is None:
        logger.warning("route %s: redirectCode %d is not one Envoy can send: no action", out.name, redirect.code)
        return
    action = out.redirect
    action.response_code = code
    action.host_redirect = redirect.authority
    if redirect.prefix_rewrite:
        action.prefix_rewrite = redirect.prefix_rewrite
    else:
        action.path_redirect = redirect.uri
    if redirect.scheme:
        action.scheme_redirect = redirect.scheme
    number = port if redirect.port_from_request else redirect.port or 0
    if (redirect.scheme or "http", number) not in {("http", 80), ("https", 443)}:
        action.port_redirect = number


def _direct_response(response: DirectResponse) -> routes.DirectResponseAction:
    """R6."""
    out = routes.DirectResponseAction(status=response.status)
    if response.body is not None:
        out.body.CopyFrom(base_pb2.DataSource(inline_bytes=response.body))
    return out
