"""The HTTP routes of a VirtualService as typed values, and their reading. How they become Envoy's is ``xds``' business.

Host names are resolved to full names in the VirtualService's namespace while reading (B2); row ids are those of the
feature table: M match, W weights, R actions.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mesh_reference.model.hosts import gateway_name, resolve
from mesh_reference.validation.regexp import RegexpError, check_regexp

if TYPE_CHECKING:
    from mesh_reference.model.reading import Fields

LARGEST_TOTAL_WEIGHT = 2**32 - 1
"""Envoy refuses more (W7)."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch:
    """``kind`` present: any value, as ``{}`` or regex ``*`` say in Istio (M7)."""

    kind: Literal["exact", "prefix", "regex", "present"]
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMatch:
    """One match block: all its conditions must hold. ``port`` 0 = any."""

    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: tuple[tuple[str, StringMatch], ...] = ()
    without_headers: tuple[tuple[str, StringMatch], ...] = ()
    query_params: tuple[tuple[str, StringMatch], ...] = ()
    port: int = 0
    source_labels: Pairs = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()
    stat_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """``host`` is the full name; ``port`` None = to be found from the Service (B14)."""

    host: str
    subset: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChanges:
    """Changes to one direction's headers (R17)."""

    set: Pairs = ()
    add: Pairs = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Changes to both directions' headers."""

    request: HeaderChanges = HeaderChanges()
    response: HeaderChanges = HeaderChanges()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedDestination:
    """One branch of a route (W1-W9)."""

    destination: Destination
    weight: int = 0
    headers: Headers = Headers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """R4, R5. ``port`` None = not set; ``port_from_request`` is FROM_REQUEST_PORT."""

    uri: str = ""
    prefix_rewrite: str = ""
    authority: str = ""
    scheme: str = ""
    code: int = 0
    port: int | None = None
    port_from_request: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponse:
    """R6."""

    status: int
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """R1-R3."""

    uri: str = ""
    authority: str = ""
    regex: tuple[str, str] | None = None
    """(match, substitution)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """R12-R14; durations in seconds, None = unset."""

    attempts: int = 0
    per_try_timeout: float | None = None
    retry_on: str = ""
    remote_localities: bool = False
    ignore_previous_hosts: bool | None = None
    backoff: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """R8, R9. Percentages are 0..100 and unset means 0; a None delay or no status = that fault is not injected."""

    delay: float | None = None
    delay_percent: float = 0.0
    abort_http: int | None = None
    abort_grpc: str = ""
    abort_percent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """R7; a mirror of 0 % is left out while reading."""

    destination: Destination
    percent: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """R18. ``max_age`` in seconds; ``credentials`` None = unset."""

    origins: tuple[StringMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: float | None = None
    credentials: bool | None = None
    ignore_unmatched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """One block of ``http``. An empty ``matches`` is a catch-all (M16); ``timeout`` None = unset (R10)."""

    name: str = ""
    matches: tuple[HttpMatch, ...] = ()
    destinations: tuple[WeightedDestination, ...] = ()
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: float | None = None
    retries: Retries | None = None
    fault: Fault | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    headers: Headers = Headers()
    delegate: tuple[str, str] | None = None
    """R19: (namespace, name) of the VirtualService that has the routes."""


def regexp(fields: Fields, key: str) -> str:
    """An expression that Envoy takes: one that it would refuse would take every other route with it."""
    text: str = fields.get(key, "")
    try:
        check_regexp(text)
    except RegexpError as error:
        raise fields.invalid(str(error), key) from error
    return text


class HttpReader:
    """Reads the HTTP routes of one VirtualService; knows the namespace that short names belong to."""

    def __init__(self, namespace: str, domain: str) -> None:
        self._namespace, self._domain = namespace, domain

    def route(self, fields: Fields) -> HttpRoute:
        """One block of ``http``."""
        delegate = fields.optional("delegate")
        if delegate is None and not any(key in fields for key in ("route", "redirect", "directResponse")):
            raise fields.invalid("HTTP route, redirect or direct_response is required")
        return HttpRoute(
            delegate=(delegate.get("namespace") or self._namespace, delegate.get("name", "")) if delegate else None,
            name=fields.get("name", ""),
            matches=tuple(self._match(item) for item in fields.each("match")),
            destinations=self._destinations(fields),
            redirect=_redirect(fields.optional("redirect")),
            direct_response=_direct_response(fields.optional("directResponse")),
            rewrite=_rewrite(fields.optional("rewrite")),
            timeout=fields.seconds("timeout"),
            retries=_retries(fields.optional("retries")),
            fault=_fault(fields.optional("fault")),
            mirrors=self._mirrors(fields),
            cors=_cors(fields.optional("corsPolicy")),
            headers=_headers(fields.optional("headers")),
        )

    def _destinations(self, fields: Fields) -> tuple[WeightedDestination, ...]:
        """W1-W7: one destination needs no weight; several need a sum that Envoy can hold."""
        found = tuple(self._weighted(item) for item in fields.each("route"))
        total = sum(item.weight for item in found)
        if len(found) > 1 and total == 0:
            raise fields.invalid("total destination weight = 0", "route")
        if total > LARGEST_TOTAL_WEIGHT:
            raise fields.invalid(f"total destination weight {total} exceeds {LARGEST_TOTAL_WEIGHT}", "route")
        return found

    def _destination(self, fields: Fields) -> Destination:
        host = resolve(fields.get("host", ""), self._namespace, self._domain)
        if not host:
            raise fields.invalid("a destination needs a host", "host")
        port = fields.fields("port").get("number")
        return Destination(host=host, subset=fields.get("subset", ""), port=int(port) if port else None)

    def _weighted(self, fields: Fields) -> WeightedDestination:
        weight = int(fields.get("weight", 0))
        if weight < 0:
            raise fields.invalid(f"weight {weight} < 0", "weight")
        return WeightedDestination(
            destination=self._destination(fields.fields("destination")),
            weight=weight,
            headers=_headers(fields.optional("headers")),
        )

    def _mirrors(self, fields: Fields) -> tuple[Mirror, ...]:
        """R7: ``mirror`` with its percentage, or ``mirrors``; an unset percentage is 100."""
        found = [
            Mirror(destination=self._destination(item.fields("destination")), percent=_percent(item, "percentage"))
            for item in fields.each("mirrors")
        ]
        single = fields.optional("mirror")
        if single is not None:
            percent = _percent(fields, "mirrorPercentage")
            if "mirrorPercentage" not in fields:
                percent = float(fields.get("mirrorPercent", 100))
            found.append(Mirror(destination=self._destination(single), percent=percent))
        return tuple(mirror for mirror in found if mirror.percent > 0)

    def _match(self, fields: Fields) -> HttpMatch:
        return HttpMatch(
            name=fields.get("name", ""),
            uri=_optional_string(fields, "uri"),
            ignore_uri_case=fields.get("ignoreUriCase", False),
            scheme=_optional_string(fields, "scheme"),
            method=_optional_string(fields, "method"),
            authority=_optional_string(fields, "authority"),
            headers=_string_matches(fields, "headers"),
            without_headers=_string_matches(fields, "withoutHeaders"),
            query_params=_string_matches(fields, "queryParams"),
            port=int(fields.get("port", 0)),
            source_labels=fields.pairs("sourceLabels"),
            source_namespace=fields.get("sourceNamespace", ""),
            gateways=tuple(gateway_name(name, self._namespace) for name in fields.texts("gateways")),
            stat_prefix=fields.get("statPrefix", ""),
        )


def _string(fields: Fields) -> StringMatch:
    if "exact" in fields:
        return StringMatch(kind="exact", value=fields["exact"])
    if fields.get("prefix"):
        return StringMatch(kind="prefix", value=fields["prefix"])
    if fields.get("regex") and fields["regex"] != "*":
        return StringMatch(kind="regex", value=regexp(fields, "regex"))
    return StringMatch(kind="present")


def _optional_string(fields: Fields, key: str) -> StringMatch | None:
    inside = fields.optional(key)
    if inside is None:
        return None
    match = _string(inside)
    return None if match.kind == "present" else match


def _string_matches(fields: Fields, key: str) -> tuple[tuple[str, StringMatch], ...]:
    for name in fields.fields(key):
        if name.startswith("@request.auth."):
            raise fields.invalid("claims of tokens are not matched by this mesh (M9)", key, name)
    return tuple((name, _string(item)) for name, item in fields.entries(key))


def _percent(fields: Fields, key: str) -> float:
    inside = fields.optional(key)
    return 100.0 if inside is None else float(inside.get("value", 0))


def _headers(fields: Fields | None) -> Headers:
    if fields is None:
        return Headers()
    return Headers(request=_changes(fields.fields("request")), response=_changes(fields.fields("response")))


def _changes(fields: Fields) -> HeaderChanges:
    return HeaderChanges(set=fields.pairs("set"), add=fields.pairs("add"), remove=fields.texts("remove"))


def _redirect(fields: Fields | None) -> Redirect | None:
    if fields is None:
        return None
    return Redirect(
        uri=fields.get("uri", ""),
        prefix_rewrite=fields.get("prefixRewrite", ""),
        authority=fields.get("authority", ""),
        scheme=fields.get("scheme", ""),
        code=int(fields.get("redirectCode", 0)),
        port=int(fields["port"]) if "port" in fields else None,
        port_from_request=fields.get("derivePort") == "FROM_REQUEST_PORT",
    )


def _direct_response(fields: Fields | None) -> DirectResponse | None:
    if fields is None:
        return None
    body = fields.fields("body")
    content: bytes | None = None
    if "string" in body:
        content = body["string"].encode()
    elif "bytes" in body:
        content = base64.b64decode(body["bytes"])
    return DirectResponse(status=int(fields.get("status", 0)), body=content)


def _rewrite(fields: Fields | None) -> Rewrite | None:
    if fields is None:
        return None
    regex = fields.optional("uriRegexRewrite")
    return Rewrite(
        uri=fields.get("uri", ""),
        authority=fields.get("authority", ""),
        regex=None if regex is None else (regexp(regex, "match"), regex.get("rewrite", "")),
    )


def _retries(fields: Fields | None) -> Retries | None:
    if fields is None:
        return None
    return Retries(
        attempts=int(fields.get("attempts", 0)),
        per_try_timeout=fields.seconds("perTryTimeout"),
        retry_on=fields.get("retryOn", ""),
        remote_localities=fields.get("retryRemoteLocalities", False),
        ignore_previous_hosts=fields.get("retryIgnorePreviousHosts"),
        backoff=fields.seconds("backoff"),
    )


def _fault(fields: Fields | None) -> Fault | None:
    if fields is None:
        return None
    delay, abort = fields.fields("delay"), fields.fields("abort")
    delay.unsupported("exponentialDelay", "no delay is injected")
    abort.unsupported("http2Error", "no abort is injected")
    delay_percent = _percent(delay, "percentage") if "percentage" in delay else float(delay.get("percent", 0))
    status = abort.get("httpStatus")
    return Fault(
        delay=delay.seconds("fixedDelay"),
        delay_percent=delay_percent,
        abort_http=int(status) if status else None,
        abort_grpc=abort.get("grpcStatus", ""),
        abort_percent=_percent(abort, "percentage") if "percentage" in abort else 0.0,
    )


def _cors(fields: Fields | None) -> Cors | None:
    if fields is None:
        return None
    plain = tuple(StringMatch(kind="exact", value=origin) for origin in fields.texts("allowOrigin"))
    return Cors(
        origins=tuple(_string(item) for item in fields.each("allowOrigins")) or plain,
        methods=fields.texts("allowMethods"),
        headers=fields.texts("allowHeaders"),
        expose=fields.texts("exposeHeaders"),
        max_age=fields.seconds("maxAge"),
        credentials=fields.get("allowCredentials"),
        ignore_unmatched=fields.get("unmatchedPreflights") == "IGNORE",
    )
