"""Istio's StringMatch in Envoy's forms: string, header and query parameter matchers (M6-M8, M10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes
from envoy.type.matcher.v3 import regex_pb2, string_pb2

if TYPE_CHECKING:
    from mesh_reference.model.http_routes import StringMatch


def string_matcher(match: StringMatch) -> string_pb2.StringMatcher:
    """Exact, prefix, or RE2 full match; ``present`` has no such form."""
    if match.kind == "exact":
        return string_pb2.StringMatcher(exact=match.value)
    if match.kind == "prefix":
        return string_pb2.StringMatcher(prefix=match.value)
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=match.value))


def header(name: str, match: StringMatch) -> routes.HeaderMatcher:
    """M6, M7."""
    if match.kind == "present":
        return routes.HeaderMatcher(name=name, present_match=True)
    return routes.HeaderMatcher(name=name, string_match=string_matcher(match))


def without_header(name: str, match: StringMatch) -> routes.HeaderMatcher:
    """M8: a missing header satisfies it, except where only its presence is asked for."""
    matcher = header(name, match)
    matcher.invert_match = True
    if match.kind != "present":
        matcher.treat_missing_header_as_empty = True
    return matcher


def query_parameter(name: str, match: StringMatch) -> routes.QueryParameterMatcher:
    """M10."""
    if match.kind == "present":
        return routes.QueryParameterMatcher(name=name, present_match=True)
    return routes.QueryParameterMatcher(name=name, string_match=string_matcher(match))
