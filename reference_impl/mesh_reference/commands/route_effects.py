"""What an Envoy route does with a request that it takes: path, host, headers, redirect, faults, copies. Pure.

Works on routes as a config dump shows them, for one concrete request; it chooses no route (``route_matching``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.commands.explanation import Copied, Delay

if TYPE_CHECKING:
    from mesh_reference.commands.route_matching import Request

Json = Mapping[str, Any]
Headers = dict[str, str | None]

_FAULT, _CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"
_CODES = {"FOUND": 302, "SEE_OTHER": 303, "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308}
_OUT_OF = {"TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
_APPENDING = {"", "APPEND_IF_EXISTS_OR_ADD"}


def rewritten_path(match: Json, action: Json, request: Request) -> str:
    """The path, with its query, that goes on: prefix or whole path replaced (R1), or a substitution (R2)."""
    path, mark, query = request.path.partition("?")
    if action.get("prefix_rewrite"):
        path = _replaced(match, str(action["prefix_rewrite"]), path)
    elif action.get("regex_rewrite"):
        rewrite = action["regex_rewrite"]
        pattern = str((rewrite.get("pattern") or {}).get("regex", ""))
        path = _substituted(pattern, str(rewrite.get("substitution", "")), path)
    return path + mark + query


def _replaced(match: Json, replacement: str, path: str) -> str:
    """A prefix match gives its prefix away, any other one the whole path."""
    if "path" in match or "safe_regex" in match:
        return replacement
    return replacement + path[len(str(match.get("prefix", ""))) :]


def _substituted(pattern: str, substitution: str, text: str) -> str:
    r"""Every match replaced as RE2 does: ``\1`` is a group, and no empty match directly follows another match."""
    out, done, at, last = "", 0, 0, -1
    compiled = re.compile(pattern, re.ASCII)
    while at <= len(text) and (found := compiled.search(text, at)) is not None:
        begin, end = found.span()
        if begin == end == last:
            at = end + 1
            continue
        filled = re.sub(r"\\([0-9\\])", lambda group, found=found: _group(group[1], found), substitution)  # type: ignore[misc]
        out += text[done:begin] + filled
        done, last, at = end, end, max(end, begin + 1) if end == begin else end
    return out + text[done:]


def _group(name: str, found: re.Match[str]) -> str:
    return "\\" if name == "\\" else found[int(name)] or ""


def rewritten_host(action: Json, branch: Json, request: Request) -> str:
    """The Host that goes on; the route's word counts before the branch's (R3, W8)."""
    return str(action.get("host_rewrite_literal") or branch.get("host_rewrite_literal") or request.authority)


def redirect_status(redirect: Json) -> int:
    """301 unless another code is named."""
    return _CODES.get(str(redirect.get("response_code", "")), 301)


def location(match: Json, redirect: Json, request: Request) -> str:
    """The Location header (R4). The request's own port stays unless scheme or port change."""
    scheme = str(redirect.get("scheme_redirect") or request.scheme)
    port = int(redirect.get("port_redirect") or 0)
    host = str(redirect.get("host_redirect") or _own_host(request, scheme, changed=bool(port)))
    path, mark, query = request.path.partition("?")
    query = mark + query
    if redirect.get("prefix_rewrite"):
        path = _replaced(match, str(redirect["prefix_rewrite"]), path)
    elif redirect.get("path_redirect"):
        path = str(redirect["path_redirect"])
        query = "" if "?" in path else query
    return f"{scheme}://{host}{f':{port}' if port else ''}{'' if path.startswith('/') else '/'}{path}{query}"


def _own_host(request: Request, scheme: str, *, changed: bool) -> str:
    host, colon, port = request.authority.rpartition(":")
    default = {"http": "80", "https": "443"}.get(request.scheme)
    if colon and port.isdecimal() and (changed or (scheme != request.scheme and port == default)):
        return host
    return request.authority


def request_headers(levels: Iterable[Json], request: Request) -> Headers:
    """The request's headers that the levels touch, as they go on; the innermost level comes first (R17, W8)."""
    before = {name: ",".join(request.values(name)) for name, _ in request.headers}
    return _changed(levels, "request", before)


def response_headers(levels: Iterable[Json]) -> Headers:
    """What the levels make of an answer without headers."""
    return _changed(levels, "response", {})


def _changed(levels: Iterable[Json], side: str, before: Mapping[str, str]) -> Headers:
    """Each level removes first, then sets, then adds."""
    now: Headers = {**before}
    touched: set[str] = set()
    for level in levels:
        for name in level.get(f"{side}_headers_to_remove") or ():
            touched.add(name.lower())
            now[name.lower()] = None
        options = list(level.get(f"{side}_headers_to_add") or ())
        for option in sorted(options, key=_appends):
            header = option.get("header") or {}
            name, value = str(header.get("key", "")).lower(), str(header.get("value", "")).replace("%%", "%")
            touched.add(name)
            held = now.get(name)
            now[name] = f"{held},{value}" if _appends(option) and held is not None else value
    return {name: now.get(name) for name in sorted(touched)}


def _appends(option: Json) -> bool:
    return str(option.get("append_action") or "") in _APPENDING


def abort(route: Json) -> tuple[int, float]:
    """(HTTP status, share of requests) of the injected abort; share 0 = none (R9).

    An abort with a gRPC status is HTTP's 200: its status stands in a header of its own.
    """
    found = _fault(route).get("abort") or {}
    return int(found.get("http_status") or 200), _share(found.get("percentage") or {}) if found else 0.0


def delay(route: Json) -> Delay | None:
    """The injected delay (R8)."""
    found = _fault(route).get("delay") or {}
    share = _share(found.get("percentage") or {})
    return Delay(seconds=_seconds(str(found.get("fixed_delay", "0s"))), share=share) if found and share else None


def copies(action: Json) -> Iterator[Copied]:
    """The mirrors (R7)."""
    for mirror in action.get("request_mirror_policies") or ():
        fraction = (mirror.get("runtime_fraction") or {}).get("default_value")
        yield Copied(cluster=str(mirror.get("cluster", "")), share=1.0 if fraction is None else _share(fraction))


def answers_preflight(route: Json, request: Request) -> bool:
    """Is this a CORS preflight that the proxy answers with 200 (R18)?

    From an allowed origin, or from any other one unless those are forwarded; the latter's answer allows nothing.
    """
    policy = (route.get("typed_per_filter_config") or {}).get(_CORS) or {}
    asks = request.method == "OPTIONS" and request.values("access-control-request-method")
    origin = next(iter(request.values("origin")), "")
    if not policy or not asks or not origin:
        return False
    allowed = any(_allows(item, origin) for item in policy.get("allow_origin_string_match") or ())
    return allowed or policy.get("forward_not_matching_preflights") is False


def _allows(match: Json, origin: str) -> bool:
    if "exact" in match:
        return origin == str(match["exact"])
    if "prefix" in match:
        return origin.startswith(str(match["prefix"]))
    return bool(re.fullmatch(str((match.get("safe_regex") or {}).get("regex", "")), origin, re.DOTALL))


def _fault(route: Json) -> Json:
    found: Json = (route.get("typed_per_filter_config") or {}).get(_FAULT) or {}
    return found


def _share(fraction: Json) -> float:
    return float(fraction.get("numerator", 0)) / _OUT_OF.get(str(fraction.get("denominator", "HUNDRED")), 100)


def _seconds(text: str) -> float:
    return float(text.removesuffix("s") or 0)


def shares(action: Json) -> list[tuple[Json, int]]:
    """The branches of a route or of a TCP proxy with their weights; a single cluster has weight 1."""
    if action.get("cluster"):
        return [({"name": str(action["cluster"])}, 1)]
    weighted = (action.get("weighted_clusters") or {}).get("clusters") or ()
    return [(item, int(item.get("weight") or 0)) for item in weighted if item.get("weight")]


def changes(route: Json, request: Request) -> Iterator[tuple[str, str, str]]:
    """(step, words, field of the block) for what the route does besides choosing where it goes."""
    action = route.get("route") or {}
    waits = delay(route)
    if waits is not None:
        yield "fault", f"{100 * waits.share:g}% of requests wait {waits.seconds:g} s", "fault"
    status, share = abort(route)
    if share:
        yield "fault", f"{100 * share:g}% of requests get {status}", "fault"
    path = rewritten_path(route.get("match") or {}, action, request)
    if path != request.path:
        yield "rewrite", f"the path becomes {path}", "rewrite"
    if action.get("host_rewrite_literal"):
        yield "rewrite", f"the host becomes {action['host_rewrite_literal']}", "rewrite"
    for name, value in request_headers((route,), request).items():
        yield (
            "headers",
            f"request header {name} " + (f"becomes {value}" if value is not None else "is removed"),
            "headers",
        )
    for name, value in response_headers((route,)).items():
        yield (
            "headers",
            f"response header {name} " + (f"becomes {value}" if value is not None else "is removed"),
            "headers",
        )
    if action.get("timeout") not in {None, "0s"}:
        yield "timeout", f"after {action['timeout']} the client gets 504", "timeout"
    for copied in copies(action):
        yield "mirror", f"{100 * copied.share:g}% of requests are copied to {copied.cluster}", "mirror"
