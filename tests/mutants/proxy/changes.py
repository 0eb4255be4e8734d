"""What the mutating proxy changes, by name: resources on their way to proxies, signing requests, answers of webhooks. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf import any_pb2

Json = dict[str, Any]

RESOURCES = {
    one.DESCRIPTOR.full_name: one
    for one in (
        route_pb2.RouteConfiguration,
        route_components_pb2.VirtualHost,
        cluster_pb2.Cluster,
        listener_pb2.Listener,
    )
}
_FAULT = "envoy.filters.http.fault"


def _hosts(resource: Any) -> list[Any]:
    """Give the virtual hosts of a resource, which may be one itself."""
    if isinstance(resource, route_components_pb2.VirtualHost):
        return [resource]
    return list(resource.virtual_hosts) if isinstance(resource, route_pb2.RouteConfiguration) else []


def _routes(resource: Any) -> list[Any]:
    return [route for host in _hosts(resource) for route in host.routes]


def weights_all_equal(resource: Any) -> None:
    """Every destination has the same weight."""
    for route in _routes(resource):
        for branch in route.route.weighted_clusters.clusters:
            branch.weight.value = 100


def match_headers_dropped(resource: Any) -> None:
    """A rule's headers are not looked at."""
    for route in _routes(resource):
        del route.match.headers[:]


def unmatched_served(resource: Any) -> None:
    """What no rule matches goes where the last rule goes."""
    for host in _hosts(resource):
        if host.routes and host.routes[-1].match.prefix != "/":
            last = route_components_pb2.Route()
            last.CopyFrom(host.routes[-1])
            last.match.CopyFrom(route_components_pb2.RouteMatch(prefix="/"))
            host.routes.append(last)


def faults_gone(resource: Any) -> None:
    """No request is aborted or delayed."""
    for route in _routes(resource):
        route.typed_per_filter_config.pop(_FAULT, None)
    for_http(resource, lambda manager: _without(manager.http_filters, "HTTPFault"))


def limits_gone(resource: Any) -> None:
    """A connection pool has no limits."""
    if isinstance(resource, cluster_pb2.Cluster):
        resource.ClearField("circuit_breakers")


def subsets_are_whole(resource: Any) -> None:
    """A subset is every pod of its Service."""
    if isinstance(resource, cluster_pb2.Cluster) and resource.name.count("|") == 3:
        direction, port, _, host = resource.name.split("|")
        if resource.HasField("eds_cluster_config"):
            resource.eds_cluster_config.service_name = f"{direction}|{port}||{host}"


def any_trust_domain(resource: Any) -> None:
    """A client's certificate may name anybody."""
    for chain in _chains(resource):
        typed = chain.transport_socket.typed_config
        if typed.Is(tls_pb2.DownstreamTlsContext.DESCRIPTOR):
            context = tls_pb2.DownstreamTlsContext()
            typed.Unpack(context)
            common = context.common_tls_context
            for validation in (
                common.validation_context,
                common.combined_validation_context.default_validation_context,
            ):
                del validation.match_typed_subject_alt_names[:]
                del validation.match_subject_alt_names[:]
            typed.Pack(context)


def authorization_gone(resource: Any) -> None:
    """No policy decides anything."""
    for chain in _chains(resource):
        _without(chain.filters, "RBAC")
    for_http(resource, lambda manager: _without(manager.http_filters, "RBAC"))


def for_http(resource: Any, change: Callable[[Any], None]) -> None:
    """Change each HTTP connection manager of a listener."""
    for chain in _chains(resource):
        for one in chain.filters:
            if one.typed_config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
                manager = hcm_pb2.HttpConnectionManager()
                one.typed_config.Unpack(manager)
                change(manager)
                one.typed_config.Pack(manager)


def _chains(resource: Any) -> list[Any]:
    if not isinstance(resource, listener_pb2.Listener):
        return []
    own = [resource.default_filter_chain] if resource.HasField("default_filter_chain") else []
    return [*resource.filter_chains, *own]


def _without(filters: Any, kind: str) -> None:
    kept = [one for one in filters if not one.typed_config.type_url.endswith(f".{kind}")]
    if len(kept) != len(filters):
        del filters[:]
        filters.extend(kept)


XDS: Mapping[str, Callable[[Any], None]] = {
    "px-weights-all-equal": weights_all_equal,
    "px-match-headers-dropped": match_headers_dropped,
    "px-unmatched-served": unmatched_served,
    "px-faults-gone": faults_gone,
    "px-limits-gone": limits_gone,
    "px-subsets-are-whole": subsets_are_whole,
    "px-any-trust-domain": any_trust_domain,
    "px-authorization-gone": authorization_gone,
}


def changed(mutant: str, resource: any_pb2.Any) -> None:
    """Change one resource of an xDS answer in place."""
    kind = RESOURCES.get(resource.type_url.rpartition("/")[2])
    if kind is None or mutant not in XDS:
        return
    message = kind()
    resource.Unpack(message)
    XDS[mutant](message)
    resource.value = message.SerializeToString()


def admission(mutant: str, path: str, review: Json) -> Json:
    """Give a webhook's answer (AdmissionReview) as the mutant gives it."""
    answer = review.get("response") or {}
    if mutant == "px-galley-says-yes" and path.startswith("/validate"):
        return {**review, "response": {"uid": answer.get("uid", ""), "allowed": True}}
    if mutant == "px-nothing-injected" and path.startswith("/inject"):
        return {**review, "response": {"uid": answer.get("uid", ""), "allowed": True}}
    if mutant == "px-grace-period-changed" and path.startswith("/inject") and answer.get("patch"):
        patch = json.loads(base64.b64decode(answer["patch"]))
        patch.append({"op": "add", "path": "/spec/terminationGracePeriodSeconds", "value": 77})
        return {**review, "response": {**answer, "patch": base64.b64encode(json.dumps(patch).encode()).decode()}}
    return review
