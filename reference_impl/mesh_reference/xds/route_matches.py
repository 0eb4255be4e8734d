"""Match blocks of a VirtualService: which apply to this proxy at all, and as Envoy's RouteMatch (§1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes
from envoy.type.matcher.v3 import regex_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.model.hosts import MESH
from mesh_reference.xds import matchers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh_reference.model.http_routes import HttpMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What static conditions look at: the proxy's own labels and namespace."""

    namespace: str
    labels: Mapping[str, str]


SIDECARS = frozenset({MESH})


def applies(match: HttpMatch, client: Client, port: int, gateways: frozenset[str] = SIDECARS) -> bool:
    """The static conditions: port (M11), gateways (M14), source labels and namespace (M12, M13).

    A block that names gateways forgets its source conditions (M14).
    """
    if match.port not in {0, port}:
        return False
    if match.gateways:
        return not gateways.isdisjoint(match.gateways)
    if any(client.labels.get(key) != value for key, value in match.source_labels):
        return False
    return match.source_namespace in {"", client.namespace}


def route_match(match: HttpMatch | None) -> routes.RouteMatch:
    """The conditions on the request; without a match block everything (M16)."""
    if match is None:
        return routes.RouteMatch(prefix="/")
    headers = [
        *(matchers.header(name, wanted) for name, wanted in match.headers),
        *(matchers.without_header(name, unwanted) for name, unwanted in match.without_headers),
    ]
    headers.sort(key=lambda item: item.name)
    pseudo = ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme))
    headers.extend(matchers.header(name, wanted) for name, wanted in pseudo if wanted is not None)
    out = routes.RouteMatch(
        prefix="/",
        case_sensitive=wrappers_pb2.BoolValue(value=not match.ignore_uri_case),
        headers=headers,
        query_parameters=[matchers.query_parameter(name, wanted) for name, wanted in match.query_params],
    )
    if match.uri is not None:
        _set_path(out, match.uri.kind, match.uri.value)
    return out


def _set_path(out: routes.RouteMatch, kind: str, value: str) -> None:
    """M2 exact, M3 raw prefix, M4 full regex match."""
    if kind == "exact":
        out.path = value
    elif kind == "prefix":
        out.prefix = value
    elif kind == "regex":
        out.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex=value))


def is_catch_all(match: routes.RouteMatch) -> bool:
    """Nothing after such a route is reachable, so nothing after it is generated (§1.3)."""
    everything = match.prefix == "/" or match.safe_regex.regex == ".*"
    return everything and not match.headers and not match.query_parameters
