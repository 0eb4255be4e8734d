"""An ``http`` route into its model, with the line of each part; refuses what the oracle does not model."""

from __future__ import annotations

from functools import partial

from pytest_mesh.oracle.errors import Malformed, Unsupported
from pytest_mesh.oracle.fields import Fields, Line, seconds
from pytest_mesh.oracle.grpc_answers import CODES
from pytest_mesh.oracle.matching import check_regex, check_substitution
from pytest_mesh.oracle.model import (
    Block,
    Branch,
    Condition,
    Cors,
    Destination,
    DirectResponse,
    Fault,
    HeaderChanges,
    Headers,
    Mirror,
    Redirect,
    Rewrite,
    Rule,
    StringMatch,
)
from pytest_mesh.oracle.names import resolve

_MADE_BY_PROXIES = ("x-envoy-", "x-forwarded-", "x-request-id", "x-b3-", "traceparent", "tracestate")
_REDIRECT_CODES = {0, 301, 302, 303, 307, 308}
_MILLION = 1_000_000


_RULE = {
    "name", "match", "route", "redirect", "directResponse", "rewrite", "timeout", "retries", "fault", "mirror",
    "mirrors", "mirrorPercentage", "mirrorPercent", "corsPolicy", "headers",
}  # fmt: skip


def read_rule(fields: Fields, destination: partial[Destination]) -> Rule:
    """Read an entry of ``http``; raises ``Unsupported`` or ``Malformed`` with the field."""
    fields.knows(_RULE)
    actions = [name for name in ("route", "redirect", "directResponse") if name in fields]
    if not actions:
        raise Malformed(f"{fields.line}: no route, redirect or directResponse (R20)")
    if len(actions) > 1:
        raise Malformed(f"{fields.line}: {' and '.join(actions)} exclude each other")
    branches = read_branches(fields, destination)
    return Rule(
        name=fields.text("name"),
        blocks=tuple(read_block(item) for item in fields.each("match")),
        branches=branches,
        redirect=_redirect(fields.below("redirect")),
        direct_response=_direct_response(fields.below("directResponse")),
        rewrite=_rewrite(fields.below("rewrite")),
        fault=_fault(fields.below("fault")),
        mirrors=tuple(_mirrors(fields, destination)),
        headers=_headers(fields.below("headers")),
        timeout=seconds(fields, "timeout"),
        cors=_cors(fields.below("corsPolicy")),
        retries="retries" in fields,
        line=fields.line,
    )


def read_branches(fields: Fields, destination: partial[Destination]) -> tuple[Branch, ...]:
    """Read the destinations of a route and their weights."""
    branches = tuple(_branch(item, destination) for item in fields.each("route"))
    if len(branches) > 1 and not sum(branch.weight for branch in branches):
        raise Malformed(f"{fields.at('route')}: total destination weight = 0 (W5)")
    return branches


def _branch(fields: Fields, destination: partial[Destination]) -> Branch:
    fields.knows({"destination", "weight", "headers"})
    below = fields.below("destination")
    if below is None:
        raise Malformed(f"{fields.at('destination')}: is required")
    weight = fields.number("weight")
    if weight < 0:
        raise Malformed(f"{fields.at('weight')}: weight {weight} < 0 (W6)")
    return Branch(
        destination=destination(below), weight=weight, headers=_headers(fields.below("headers")), line=fields.line
    )


def read_destination(fields: Fields, *, namespace: str, domain: str) -> Destination:
    """Read a destination; a short host is resolved."""
    fields.knows({"host", "subset", "port"})
    port = fields.below("port")
    return Destination(
        host=resolve(fields.text("host"), namespace, domain),
        subset=fields.text("subset"),
        port=port.number("number") if port else 0,
        line=fields.line,
    )


_BLOCK = {
    "name", "uri", "scheme", "method", "authority", "headers", "withoutHeaders", "queryParams", "ignoreUriCase",
    "port", "gateways", "sourceLabels", "sourceNamespace", "statPrefix",
}  # fmt: skip


def read_block(fields: Fields) -> Block:
    """Read an entry of ``match``."""
    fields.knows(_BLOCK)
    conditions: list[Condition] = []
    for name in ("uri", "scheme", "method", "authority"):
        below = fields.below(name)
        match = _string(below) if below else None
        if match and match.kind != "present":
            conditions.append(
                Condition(
                    where=name,
                    match=match,
                    ignore_case=name == "uri" and fields.truth("ignoreUriCase"),
                    line=fields.at(name),
                )
            )
    for key, where in (("headers", "header"), ("withoutHeaders", "without-header"), ("queryParams", "query")):
        for name, entry in fields.entries(key):
            if where != "query":
                _check_header_name(name, entry.line)
            conditions.append(
                Condition(where=where, name=name, match=_string(entry), line=entry.line)  # type: ignore[arg-type]
            )
    return Block(
        conditions=tuple(conditions),
        name=fields.text("name"),
        port=fields.number("port"),
        gateways=fields.texts("gateways"),
        source_labels=fields.pairs("sourceLabels"),
        source_namespace=fields.text("sourceNamespace"),
        line=fields.line,
    )


def _string(fields: Fields) -> StringMatch:
    fields.knows({"exact", "prefix", "regex"})
    given = [kind for kind in ("exact", "prefix", "regex") if kind in fields]
    if not given:
        return StringMatch(kind="present")
    if len(given) > 1:
        raise Malformed(f"{fields.line}: {' and '.join(given)} exclude each other")
    kind, value = given[0], fields.text(given[0])
    if kind == "regex" and value == "*":
        return StringMatch(kind="present")
    if not value and kind != "exact":
        raise Malformed(f"{fields.at(kind)}: is empty")
    if kind == "regex":
        check_regex(value, fields.at(kind))
    return StringMatch(kind=kind, value=value)  # type: ignore[arg-type]


def _check_header_name(name: str, line: Line) -> None:
    lower = name.lower()
    if lower.startswith((":", "@", *_MADE_BY_PROXIES)) or lower in {"host", "connection", "transfer-encoding"}:
        raise Unsupported(f"{line}: the oracle does not model conditions on a header that proxies make or take")


def _headers(fields: Fields | None) -> Headers:
    if fields is None:
        return Headers()
    fields.knows({"request", "response"})
    return Headers(request=_changes(fields.below("request")), response=_changes(fields.below("response")))


def _changes(fields: Fields | None) -> HeaderChanges:
    if fields is None:
        return HeaderChanges()
    fields.knows({"set", "add", "remove"})
    changes = HeaderChanges(set=fields.pairs("set"), add=fields.pairs("add"), remove=fields.texts("remove"))
    for key, values in (("set", changes.set), ("add", changes.add)):
        for name, value in values.items():
            if "%" in value:
                raise Unsupported(f"{fields.at(key).field(name)}: the oracle does not model proxy variables (%)")
    return changes


def _redirect(fields: Fields | None) -> Redirect | None:
    if fields is None:
        return None
    fields.knows({"uri", "prefixRewrite", "authority", "scheme", "port", "derivePort", "redirectCode"})
    code = fields.number("redirectCode")
    if code not in _REDIRECT_CODES:
        raise Unsupported(f"{fields.at('redirectCode')}: {code} makes a route without an action (R5)")
    return Redirect(
        uri=fields.text("uri"),
        prefix_rewrite=fields.text("prefixRewrite"),
        authority=fields.text("authority"),
        scheme=fields.text("scheme"),
        port=fields.number("port"),
        from_request_port=fields.text("derivePort") == "FROM_REQUEST_PORT",
        code=code,
        line=fields.line,
    )


def _direct_response(fields: Fields | None) -> DirectResponse | None:
    if fields is None:
        return None
    fields.knows({"status", "body"})
    body = fields.below("body")
    if body is not None:
        body.knows({"string"}, refused={"bytes"})
    return DirectResponse(status=fields.number("status"), body=body.text("string") if body else "", line=fields.line)


def _rewrite(fields: Fields | None) -> Rewrite | None:
    if fields is None:
        return None
    fields.knows({"uri", "authority", "uriRegexRewrite"})
    regex = fields.below("uriRegexRewrite")
    pattern = None
    if regex is not None:
        regex.knows({"match", "rewrite"})
        check_regex(regex.text("match"), regex.at("match"))
        pattern = (regex.text("match"), regex.text("rewrite"))
        if not all(pattern):
            raise Malformed(f"{regex.line}: match and rewrite are both required")
        check_substitution(*pattern, regex.at("rewrite"))
    return Rewrite(uri=fields.text("uri"), authority=fields.text("authority"), regex=pattern, line=fields.line)


def _fault(fields: Fields | None) -> Fault | None:
    if fields is None:
        return None
    fields.knows({"delay", "abort"})
    delay, abort = fields.below("delay"), fields.below("abort")
    if delay is not None:
        delay.knows({"fixedDelay", "percentage", "percent"}, refused={"exponentialDelay"})
    if abort is not None:
        abort.knows({"httpStatus", "grpcStatus", "percentage"}, refused={"http2Error"})
        if "httpStatus" in abort and "grpcStatus" in abort:
            raise Malformed(f"{abort.line}: httpStatus and grpcStatus exclude each other")
    return Fault(
        delay=(seconds(delay, "fixedDelay") or 0.0) if delay else 0.0,
        delay_per_million=_per_million(delay) if delay else 0,
        abort_status=abort.number("httpStatus") if abort else 0,
        abort_grpc=_grpc_status(abort) if abort else None,
        abort_per_million=_per_million(abort) if abort else 0,
        line=fields.line,
    )


def _grpc_status(abort: Fields) -> int | None:
    if "grpcStatus" not in abort:
        return None
    name = abort.text("grpcStatus")
    if name not in CODES:
        raise Malformed(f"{abort.at('grpcStatus')}: {name!r} is no status of gRPC")
    return CODES[name]


def _cors(fields: Fields | None) -> Cors | None:
    if fields is None:
        return None
    known = {
        "allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge", "allowCredentials", "unmatchedPreflights",
    }  # fmt: skip
    fields.knows(known, refused={"allowOrigin"})
    age = seconds(fields, "maxAge")
    return Cors(
        origins=tuple(_string(item) for item in fields.each("allowOrigins")),
        methods=",".join(fields.texts("allowMethods")),
        headers=",".join(fields.texts("allowHeaders")),
        expose=",".join(fields.texts("exposeHeaders")),
        max_age="" if age is None else str(int(age)),
        credentials=fields.truth("allowCredentials"),
        ignore_unmatched=fields.text("unmatchedPreflights") == "IGNORE",
        line=fields.line,
    )


def _per_million(fields: Fields) -> int:
    percentage = fields.below("percentage")
    if percentage is not None:
        return min(int(percentage.share("value") * 10_000), _MILLION)
    return fields.number("percent") * 10_000


def _mirrors(fields: Fields, destination: partial[Destination]) -> list[Mirror]:
    """R7: without a percentage everything is copied; with 0 nothing."""
    found = []
    single = fields.below("mirror")
    if single is not None:
        share = _MILLION
        percentage = fields.below("mirrorPercentage")
        if percentage is not None:
            share = int(percentage.share("value") * 10_000)
        elif "mirrorPercent" in fields:
            share = fields.number("mirrorPercent") * 10_000
        found.append(Mirror(destination=destination(single), per_million=share, line=single.line))
    for item in fields.each("mirrors"):
        item.knows({"destination", "percentage"})
        below = item.below("destination")
        if below is not None:
            share = _per_million(item) if "percentage" in item else _MILLION
            found.append(Mirror(destination=destination(below), per_million=share, line=item.line))
    return [mirror for mirror in found if mirror.per_million]
