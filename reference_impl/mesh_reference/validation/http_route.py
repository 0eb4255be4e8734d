"""Rules about one HTTP route of a VirtualService (rows V6 to V36 of Istio's validation).

Every function takes the part of the document it judges and that part's path. What
routes do to one another is in `unreachable`; the service as a whole in
`virtual_service`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.model.schema.duration import SECOND, parse_duration
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.headers import (
    check_cors_header_name,
    check_header_operations,
    check_match_header_name,
    check_regex,
    check_string_match,
    is_authority,
)
from mesh_reference.validation.names import (
    check_duration,
    check_gateway_names,
    check_labels,
    check_port,
    is_dns_label,
    quote,
    wildcard_domain_problem,
)

Json = Mapping[str, Any]

RETRY_POLICIES = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
STATUS_CODES = frozenset(
    {*range(100, 104), *range(200, 209), 226, *range(300, 306), 307, 308, *range(400, 419), *range(421, 427), 428, 429}
    | {431, 451, *range(500, 509), 510, 511}
)
CORS_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"})
GRPC_STATUSES = frozenset(
    {
        *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
        *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
        *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
    }
)
_INT32 = 2**32


def check_http_route(out: Findings, path: Path, route: Json, *, delegate: bool) -> None:
    """All rules of one ``http`` entry; ``delegate`` when its VirtualService has no hosts."""
    _check_conflicts(out, path, route, delegate=delegate)
    for index, match in enumerate(route.get("match") or ()):
        _check_match(out, (*path, "match", index), match)
    check_header_operations(out, (*path, "headers"), route.get("headers"))
    _check_cors(out, (*path, "corsPolicy"), route.get("corsPolicy"))
    _check_fault(out, (*path, "fault"), route.get("fault"))
    _check_mirrors(out, path, route)
    _check_redirect(out, (*path, "redirect"), route.get("redirect"), route.get("match") or ())
    _check_direct_response(out, (*path, "directResponse"), route.get("directResponse"))
    _check_retries(out, (*path, "retries"), route.get("retries"))
    _check_rewrite(out, (*path, "rewrite"), route.get("rewrite"))
    _check_authority_once(out, path, route)
    check_destinations(out, (*path, "route"), route.get("route"))
    check_duration(out, (*path, "timeout"), route.get("timeout"))


def _check_conflicts(out: Findings, path: Path, route: Json, *, delegate: bool) -> None:
    has = {name for name in ("redirect", "fault", "rewrite", "directResponse") if route.get(name) is not None}
    has_route = bool(route.get("route"))
    if route.get("delegate") is not None:
        if delegate:
            out.error((*path, "delegate"), "V11", "delegate HTTP route cannot contain delegate")
        else:
            name = route.get("name") or ""
            for rule, field in (("V10a", "redirect"), ("V10b", "route")):
                if route.get(field) is not None and (field == "redirect" or has_route):
                    out.error((*path, field), rule, f"root HTTP route {name} must not specify {field}")
            return
    if "redirect" in has:
        if has_route:
            out.error((*path, "route"), "V7a", "HTTP route cannot contain both route and redirect")
        if "fault" in has:
            out.error((*path, "fault"), "V7b", "HTTP route cannot contain both fault and redirect")
        if "rewrite" in has:
            out.error((*path, "rewrite"), "V7c", "HTTP route rule cannot contain both rewrite and redirect")
        if "directResponse" in has:
            message = "HTTP route rule cannot contain both direct_response and redirect"
            out.error((*path, "directResponse"), "V7d", message)
    elif "directResponse" in has:
        if has_route:
            out.error((*path, "route"), "V8a", "HTTP route cannot contain both route and direct_response")
        if "fault" in has:
            out.error((*path, "fault"), "V8b", "HTTP route cannot contain both fault and direct_response")
        if "rewrite" in has:
            out.error((*path, "rewrite"), "V8c", "HTTP route rule cannot contain both rewrite and direct_response")
    elif not has_route:
        out.error(path, "V6", "HTTP route, redirect or direct_response is required")
    if route.get("mirror") is not None and route.get("mirrors"):
        out.error((*path, "mirrors"), "V9", "HTTP route cannot contain both mirror and mirrors")


def _check_match(out: Findings, path: Path, match: Json) -> None:
    for name, wanted in (match.get("headers") or {}).items():
        check_match_header_name(out, (*path, "headers", name), name)
        check_string_match(out, (*path, "headers", name), wanted, "headers")
    for name, wanted in (match.get("withoutHeaders") or {}).items():
        check_match_header_name(out, (*path, "withoutHeaders", name), name)
        if wanted.get("regex") != "*":  # the one regex that stands for "present"
            check_string_match(out, (*path, "withoutHeaders", name), wanted, "withoutHeaders")
    check_string_match(out, (*path, "uri"), match.get("uri"), "uri", empty_prefix=True)
    for name in ("scheme", "method", "authority"):
        check_string_match(out, (*path, name), match.get(name), name)
    for name, wanted in (match.get("queryParams") or {}).items():
        check_string_match(out, (*path, "queryParams", name), wanted, "queryParams")
    if match.get("port"):
        check_port(out, (*path, "port"), match["port"])
    check_labels(out, (*path, "sourceLabels"), match.get("sourceLabels"))
    check_gateway_names(out, (*path, "gateways"), match.get("gateways"))
    namespace = match.get("sourceNamespace")
    if namespace and not is_dns_label(namespace):
        out.error((*path, "sourceNamespace"), "V39", f"sourceNamespace match {namespace} is invalid")


def check_destinations(out: Findings, path: Path, routes: Sequence[Json] | None) -> None:
    """Weighted destinations of an HTTP, TLS or TCP route (V12 to V17)."""
    total = 0
    for index, weighted in enumerate(routes or ()):
        here = (*path, index)
        if weighted.get("destination") is None:
            out.error((*here, "destination"), "V14", "destination is required")
        check_header_operations(out, (*here, "headers"), weighted.get("headers"))
        check_destination(out, (*here, "destination"), weighted.get("destination"))
        weight = int(weighted.get("weight") or 0)
        if weight < 0:
            out.error((*here, "weight"), "V12", f"weight {weight} < 0")
        total += weight
    # Istio sums in 32 bits, so weights that wrap around to 0 are refused as well.
    if len(routes or ()) > 1 and total % _INT32 == 0:
        out.error(path, "V13", "total destination weight = 0")


def check_destination(out: Findings, path: Path, destination: Json | None) -> None:
    """Host, subset and port of one destination (V15 to V17)."""
    if destination is None:
        return
    host = destination.get("host") or ""
    if host == "*":
        out.error((*path, "host"), "V15", f"invalid destination host {host}")
    else:
        problem = wildcard_domain_problem(host)
        if problem:
            out.error((*path, "host"), "V15", problem)
    subset = destination.get("subset")
    if subset and not is_dns_label(subset):
        out.error((*path, "subset"), "V16", f"subset name is invalid: {subset}")
    if destination.get("port") is not None:
        check_port(out, (*path, "port", "number"), int(destination["port"].get("number") or 0))


def _check_cors(out: Findings, path: Path, policy: Json | None) -> None:
    if policy is None:
        return
    for index, origin in enumerate(policy.get("allowOrigins") or ()):
        here = (*path, "allowOrigins", index)
        given = next((origin[kind] for kind in ("exact", "prefix", "regex") if origin.get(kind)), "")
        if not given:
            out.error(here, "V35b", f"'{given}' is not a valid match type for CORS allow origins")
        else:
            check_string_match(out, here, origin, "corsPolicy.allowOrigins")
    for index, method in enumerate(policy.get("allowMethods") or ()):
        if method not in CORS_METHODS:
            out.error((*path, "allowMethods", index), "V35a", f"{quote(method)} is not a supported HTTP method")
    for field in ("allowHeaders", "exposeHeaders"):
        for index, name in enumerate(policy.get(field) or ()):
            check_cors_header_name(out, (*path, field, index), name)
    age = policy.get("maxAge")
    check_duration(out, (*path, "maxAge"), age)
    if age is not None and parse_duration(age) % SECOND > 0:
        out.error((*path, "maxAge"), "V35c", "max_age duration is accurate only to seconds precision")


def _check_fault(out: Findings, path: Path, fault: Json | None) -> None:
    if fault is None:
        return
    abort, delay = fault.get("abort"), fault.get("delay")
    if abort is None and delay is None:
        out.error(path, "V31", "HTTP fault injection must have an abort and/or a delay")
    if abort is not None:
        _check_percentage(out, (*path, "abort", "percentage"), abort.get("percentage"))
        _check_abort(out, (*path, "abort"), abort)
    if delay is not None:
        _check_percentage(out, (*path, "delay", "percentage"), delay.get("percentage"))
        check_duration(out, (*path, "delay", "fixedDelay"), delay.get("fixedDelay"))
        if delay.get("exponentialDelay") is not None:
            check_duration(out, (*path, "delay", "exponentialDelay"), delay["exponentialDelay"])
            out.error((*path, "delay", "exponentialDelay"), "V33b", "exponentialDelay not supported yet")


def _check_abort(out: Findings, path: Path, abort: Json) -> None:
    if abort.get("grpcStatus") is not None:
        if abort["grpcStatus"] not in GRPC_STATUSES:
            out.error(
                (*path, "grpcStatus"),
                "V34b",
                f"gRPC status {quote(abort['grpcStatus'])} is not supported. See "
                "https://github.com/grpc/grpc/blob/master/doc/statuscodes.md for a list of supported codes, "
                "for example 'NOT_FOUND'",
            )
    elif abort.get("http2Error") is not None:
        out.error((*path, "http2Error"), "V33a", "HTTP/2 abort fault injection not supported yet")
    elif abort.get("httpStatus") is not None:
        _check_status(out, (*path, "httpStatus"), int(abort["httpStatus"]), "V34a")
    else:
        out.warning(path, "V34c", "abort configured, but error type not set")


def _check_status(out: Findings, path: Path, status: int, rule: str) -> None:
    if not 200 <= status <= 600:
        out.error(path, rule, f"HTTP status {status} is not in range 200-599")


def _check_percentage(out: Findings, path: Path, percentage: Json | None) -> None:
    value = (percentage or {}).get("value") or 0
    if value < 0 or value > 100 or 0 < value < 0.0001:
        out.error((*path, "value"), "V32", f"percentage {value} is neither 0.0, nor in range [0.0001, 100.0]")


def _check_mirrors(out: Findings, path: Path, route: Json) -> None:
    percent = route.get("mirrorPercent")
    if percent is not None:
        here = (*path, "mirrorPercent")
        if percent > 100:
            out.error(here, "V36a", f"mirror_percent must have a max value of 100 (it has {percent})")
        out.warning(here, "V36c", 'using deprecated setting "mirrorPercent", use "mirrorPercentage" instead')
    _check_share(out, (*path, "mirrorPercentage"), route.get("mirrorPercentage"), "mirror_percentage")
    check_destination(out, (*path, "mirror"), route.get("mirror"))
    for index, mirror in enumerate(route.get("mirrors") or ()):
        here = (*path, "mirrors", index)
        if mirror.get("destination") is None:
            out.error((*here, "destination"), "V14m", "destination is required for mirrors")
            continue
        check_destination(out, (*here, "destination"), mirror["destination"])
        _check_share(out, (*here, "percentage"), mirror.get("percentage"), "mirror percentage")


def _check_share(out: Findings, path: Path, percentage: Json | None, what: str) -> None:
    value = (percentage or {}).get("value") or 0
    if value > 100:
        out.error((*path, "value"), "V36a", f"{what} must have a max value of 100 (it has {value:f})")
    if value < 0:
        out.error((*path, "value"), "V36b", f"{what} must have a min value of 0 (it has {value:f})")


def _check_redirect(out: Findings, path: Path, redirect: Json | None, matches: Sequence[Json]) -> None:
    if redirect is None:
        return
    rewrite = redirect.get("prefixRewrite")
    code, scheme, port = redirect.get("redirectCode"), redirect.get("scheme"), redirect.get("port")
    if redirect.get("uri") and rewrite:
        out.error(path, "V23a", "redirect may only specify one of uri or prefix_rewrite")
    if rewrite and any("prefix" not in match.get("uri", {"prefix": ""}) for match in matches):
        message = "redirect prefix_rewrite requires all URI matches to use prefix match type"
        out.error((*path, "prefixRewrite"), "V23b", message)
    given = any(redirect.get(name) for name in ("uri", "prefixRewrite", "authority", "scheme"))
    if not given and port is None and redirect.get("derivePort") is None:
        out.error(path, "V23c", "redirect must specify URI, authority, scheme, or port")
    if code and not 300 <= code <= 399:
        out.error((*path, "redirectCode"), "V24a", f"{code} is not a valid redirect code, must be 3xx")
    if scheme and scheme not in {"http", "https"}:
        out.error((*path, "scheme"), "V24b", 'invalid redirect scheme, must be "http" or "https"')
    if port:
        check_port(out, (*path, "port"), port)


def _check_direct_response(out: Findings, path: Path, response: Json | None) -> None:
    if response is None:
        return
    body = response.get("body") or {}
    size = len((body.get("string") or "").encode()) + len(base64.b64decode(body.get("bytes") or ""))
    complaint = "large direct_responses may impact control plane performance"
    if size > 1024 * 1024:
        out.error((*path, "body"), "V25a", f"{complaint}, must be less than 1MB")
    elif size > 100 * 1024:
        out.warning((*path, "body"), "V25b", complaint)
    _check_status(out, (*path, "status"), int(response.get("status") or 0), "V25c")


def _check_retries(out: Findings, path: Path, retries: Json | None) -> None:
    if retries is None:
        return
    attempts = int(retries.get("attempts") or 0)
    if attempts < 0:
        out.error((*path, "attempts"), "V28", "attempts cannot be negative")
    tuned = retries.get("perTryTimeout") is not None or retries.get("retryRemoteLocalities") is not None
    if attempts == 0 and (tuned or retries.get("retryOn")):
        out.error(path, "V29", "http retry policy configured when attempts are set to 0 (disabled)")
    check_duration(out, (*path, "perTryTimeout"), retries.get("perTryTimeout"))
    for policy in (retries.get("retryOn") or "").split(",") if retries.get("retryOn") else ():
        known = policy in RETRY_POLICIES or (policy.isascii() and policy.isdigit() and int(policy) in STATUS_CODES)
        if not known:
            out.error((*path, "retryOn"), "V30", f"{quote(policy)} is not a valid retryOn policy")
    check_duration(out, (*path, "backoff"), retries.get("backoff"))


def _check_rewrite(out: Findings, path: Path, rewrite: Json | None) -> None:
    if rewrite is None:
        return
    regex = rewrite.get("uriRegexRewrite")
    if rewrite.get("uri") and regex is not None:
        out.error(path, "V26a", "rewrite may only contain one of URI or UriRegexRewrite")
    if not rewrite.get("uri") and regex is None and not rewrite.get("authority"):
        message = (
            "rewrite must specify at least one of URI, UriRegexRewrite, or authority. "
            "Only one of URI or UriRegexRewrite may be specified"
        )
        out.error(path, "V26b", message)
    if regex is not None:
        _check_regex_rewrite(out, (*path, "uriRegexRewrite"), regex)


def _check_regex_rewrite(out: Findings, path: Path, regex: Json) -> None:
    if not regex.get("match") or not regex.get("rewrite"):
        out.error(path, "V26c", "UriRegexRewrite requires both Rewrite and Match fields to be specified")
    if regex.get("match"):
        check_regex(out, (*path, "match"), regex["match"], "HTTPRewrite.UriRegexRewrite.Match")


def _check_authority_once(out: Findings, path: Path, route: Json) -> None:
    current = (route.get("rewrite") or {}).get("authority") or ""
    request = (route.get("headers") or {}).get("request") or {}
    for operation in ("set", "add"):
        for name, value in (request.get(operation) or {}).items():
            if not is_authority(name):
                continue
            if current:
                out.error(
                    (*path, "headers", "request", operation, name),
                    "V20",
                    f"authority header cannot be set multiple times: have {quote(current)}, "
                    f"attempting to set {quote(value)}",
                )
                return
            current = value
