"""Roots and delegates: the VirtualService that a root and the VirtualServices it refers to make together (R19).

What cannot be joined is left out, as in Istio, and named among the warnings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mesh_reference.model.http_routes import Headers, HttpMatch, HttpRoute, Pairs, StringMatch
from mesh_reference.model.services import visible
from mesh_reference.model.virtual_services import of_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh_reference.model.snapshot import Key
    from mesh_reference.model.virtual_services import VirtualService

Conditions = tuple[tuple[str, StringMatch], ...]


def delegates_of(root: VirtualService) -> frozenset[Key]:
    """Whom its routes refer to."""
    return frozenset(route.delegate for route in root.http if route.delegate is not None)


def join(root: VirtualService, known: Mapping[Key, VirtualService]) -> VirtualService:
    """The root with its delegates' routes in the places of those that refer to them.

    A delegate that is missing, has hosts itself or is not exported to the root's namespace drops that route; so does a
    delegate's route whose matches are no subset of the root's.
    """
    routes: list[HttpRoute] = []
    warnings = list(root.warnings)
    for route in root.http:
        if route.delegate is None:
            routes.append(route)
            continue
        found = known.get(route.delegate)
        name = "/".join(route.delegate)
        if found is None or not found.is_delegate:
            warnings.append(f"delegate {name} of {root.meta.namespace}/{root.meta.name} is not there: route left out")
            continue
        if not visible(found.export_to, found.meta.namespace, root.meta.namespace):
            warnings.append(f"delegate {name} is not exported to {root.meta.namespace}: route left out")
            continue
        for own in found.http:
            joined = _join_route(route, own)
            if joined is None:
                warnings.append(f"route {own.name!r} of delegate {name} matches what its root does not: left out")
            else:
                routes.append(joined)
    return of_routes(replace(root, http=tuple(routes), warnings=tuple(warnings)))


def _join_route(root: HttpRoute, own: HttpRoute) -> HttpRoute | None:
    """The delegate's fields win, unset ones are the root's; None when the matches conflict."""
    matches = _join_matches(root.matches, own.matches)
    if matches is None:
        return None
    return replace(
        own,
        name="-".join(part for part in (root.name, own.name) if part),
        matches=matches,
        rewrite=own.rewrite or root.rewrite,
        direct_response=own.direct_response or root.direct_response,
        timeout=root.timeout if own.timeout is None else own.timeout,
        retries=own.retries or root.retries,
        fault=own.fault or root.fault,
        mirrors=own.mirrors or root.mirrors,
        cors=own.cors or root.cors,
        headers=root.headers if own.headers == Headers() else own.headers,
        delegate=None,
    )


def _join_matches(root: tuple[HttpMatch, ...], own: tuple[HttpMatch, ...]) -> tuple[HttpMatch, ...] | None:
    """Each match of the delegate within each of the root's that it does not conflict with; it needs one at least."""
    if not root or not own:
        return root or own
    out: list[HttpMatch] = []
    for narrow in own:
        fitting = [wide for wide in root if not _conflict(wide, narrow)]
        if not fitting:
            return None
        out += [_join_match(wide, narrow) for wide in fitting]
    return tuple(out)


def _join_match(root: HttpMatch, own: HttpMatch) -> HttpMatch:
    return HttpMatch(
        name="-".join(part for part in (root.name, own.name) if part),
        uri=own.uri or root.uri,
        ignore_uri_case=own.ignore_uri_case,
        scheme=own.scheme or root.scheme,
        method=own.method or root.method,
        authority=own.authority or root.authority,
        headers=_both(root.headers, own.headers),
        without_headers=_both(root.without_headers, own.without_headers),
        query_params=_both(root.query_params, own.query_params),
        port=own.port or root.port,
        source_labels=tuple(sorted({**dict(root.source_labels), **dict(own.source_labels)}.items())),
        source_namespace=own.source_namespace or root.source_namespace,
        gateways=own.gateways or root.gateways,
        stat_prefix=own.stat_prefix or root.stat_prefix,
    )


def _both(root: Conditions, own: Conditions) -> Conditions:
    return tuple(sorted({**dict(root), **dict(own)}.items(), key=lambda item: item[0]))


def _conflict(root: HttpMatch, own: HttpMatch) -> bool:
    texts = ((root.uri, own.uri), (root.scheme, own.scheme), (root.method, own.method), (root.authority, own.authority))
    maps = (
        (root.headers, own.headers),
        (root.without_headers, own.without_headers),
        (root.query_params, own.query_params),
    )
    return (
        any(_texts_conflict(wide, narrow) for wide, narrow in texts)
        or any(_texts_conflict(dict(wide).get(key), narrow) for wide, own_map in maps for key, narrow in own_map)
        or root.ignore_uri_case != own.ignore_uri_case
        or (root.port != own.port and root.port > 0 and own.port > 0)
        or (root.source_namespace not in {"", own.source_namespace})
        or _labels_conflict(root.source_labels, own.source_labels)
        or bool(root.gateways and own.gateways and not set(own.gateways) <= set(root.gateways))
    )


def _labels_conflict(root: Pairs, own: Pairs) -> bool:
    wide = dict(root)
    return any(wide.get(key, value) != value for key, value in own)


def _texts_conflict(root: StringMatch | None, own: StringMatch | None) -> bool:
    """May the delegate's match hold where the root's does not? Expressions are not compared: they always conflict."""
    if root is None or own is None:
        return False
    if root.kind == "exact":
        return own != root
    if root.kind == "prefix":
        return own.kind not in {"exact", "prefix"} or not own.value.startswith(root.value)
    return True
