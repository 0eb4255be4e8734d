"""VirtualService, field by field, as istio.io/api networking defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.destinations import DESTINATION
from mesh_reference.model.schema.types import (
    BINARY,
    DURATION,
    FLAG,
    INT32,
    LABELS,
    NUMBER,
    TEXT,
    TEXTS,
    UINT32,
    Choice,
    Column,
    Kind,
    ListOf,
    MapOf,
    Message,
    Rule,
)

STRING_MATCH = Message(
    name="StringMatch",
    fields={"exact": TEXT, "prefix": TEXT, "regex": TEXT},
    one_of=(("exact", "prefix", "regex"),),
)
PERCENT = Message(name="Percent", fields={"value": NUMBER})
HEADER_OPERATIONS = Message(name="HeaderOperations", fields={"set": LABELS, "add": LABELS, "remove": TEXTS})
HEADERS = Message(name="Headers", fields={"request": HEADER_OPERATIONS, "response": HEADER_OPERATIONS})
_DESTINATION_REQUIRED = Rule(
    expression="has(self.destination)", message="destination is required", rule="V14", at=".destination"
)
HTTP_ROUTE_DESTINATION = Message(
    name="HTTPRouteDestination",
    fields={"destination": DESTINATION, "weight": INT32, "headers": HEADERS},
    rules=(_DESTINATION_REQUIRED,),
)
ROUTE_DESTINATION = Message(
    name="RouteDestination", fields={"destination": DESTINATION, "weight": INT32}, rules=(_DESTINATION_REQUIRED,)
)

HTTP_MATCH_REQUEST = Message(
    name="HTTPMatchRequest",
    fields={
        "name": TEXT,
        "uri": STRING_MATCH,
        "scheme": STRING_MATCH,
        "method": STRING_MATCH,
        "authority": STRING_MATCH,
        "headers": MapOf(value=STRING_MATCH),
        "port": UINT32,
        "sourceLabels": LABELS,
        "gateways": TEXTS,
        "queryParams": MapOf(value=STRING_MATCH),
        "ignoreUriCase": FLAG,
        "withoutHeaders": MapOf(value=STRING_MATCH),
        "sourceNamespace": TEXT,
        "statPrefix": TEXT,
    },
)
HTTP_REDIRECT = Message(
    name="HTTPRedirect",
    fields={
        "uri": TEXT,
        "authority": TEXT,
        "port": UINT32,
        "derivePort": Choice(names=("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")),
        "scheme": TEXT,
        "redirectCode": UINT32,
        "prefixRewrite": TEXT,
    },
    one_of=(("port", "derivePort"),),
)
HTTP_BODY = Message(name="HTTPBody", fields={"string": TEXT, "bytes": BINARY}, one_of=(("string", "bytes"),))
HTTP_DIRECT_RESPONSE = Message(name="HTTPDirectResponse", fields={"status": UINT32, "body": HTTP_BODY})
REGEX_REWRITE = Message(name="RegexRewrite", fields={"match": TEXT, "rewrite": TEXT})
HTTP_REWRITE = Message(name="HTTPRewrite", fields={"uri": TEXT, "authority": TEXT, "uriRegexRewrite": REGEX_REWRITE})
HTTP_RETRY = Message(
    name="HTTPRetry",
    fields={
        "attempts": INT32,
        "perTryTimeout": DURATION,
        "retryOn": TEXT,
        "retryRemoteLocalities": FLAG,
        "retryIgnorePreviousHosts": FLAG,
        "backoff": DURATION,
    },
    rules=(
        Rule(
            expression="!has(self.attempts) || self.attempts >= 0",
            message="attempts cannot be negative",
            rule="V28",
            at=".attempts",
        ),
    ),
)
HTTP_FAULT_INJECTION = Message(
    name="HTTPFaultInjection",
    fields={
        "delay": Message(
            name="Delay",
            fields={"percent": INT32, "fixedDelay": DURATION, "exponentialDelay": DURATION, "percentage": PERCENT},
            one_of=(("fixedDelay", "exponentialDelay"),),
            rules=(
                Rule(
                    expression="!has(self.exponentialDelay)",
                    message="exponentialDelay not supported yet",
                    rule="V33b",
                    at=".exponentialDelay",
                ),
            ),
        ),
        "abort": Message(
            name="Abort",
            fields={"httpStatus": INT32, "grpcStatus": TEXT, "http2Error": TEXT, "percentage": PERCENT},
            one_of=(("httpStatus", "grpcStatus", "http2Error"),),
            rules=(
                Rule(
                    expression="!has(self.http2Error)",
                    message="HTTP/2 abort fault injection not supported yet",
                    rule="V33a",
                    at=".http2Error",
                ),
            ),
        ),
    },
    rules=(
        Rule(
            expression="has(self.abort) || has(self.delay)",
            message="HTTP fault injection must have an abort and/or a delay",
            rule="V31",
        ),
    ),
)
CORS_POLICY = Message(
    name="CorsPolicy",
    fields={
        "allowOrigin": TEXTS,
        "allowOrigins": ListOf(item=STRING_MATCH),
        "allowMethods": TEXTS,
        "allowHeaders": TEXTS,
        "exposeHeaders": TEXTS,
        "maxAge": DURATION,
        "allowCredentials": FLAG,
        "unmatchedPreflights": Choice(names=("UNSPECIFIED", "FORWARD", "IGNORE")),
    },
)
HTTP_MIRROR_POLICY = Message(
    name="HTTPMirrorPolicy",
    fields={"destination": DESTINATION, "percentage": PERCENT},
    rules=(
        Rule(
            expression="has(self.destination)",
            message="destination is required for mirrors",
            rule="V14m",
            at=".destination",
        ),
    ),
)
HTTP_ROUTE = Message(
    name="HTTPRoute",
    fields={
        "name": TEXT,
        "match": ListOf(item=HTTP_MATCH_REQUEST),
        "route": ListOf(item=HTTP_ROUTE_DESTINATION),
        "redirect": HTTP_REDIRECT,
        "directResponse": HTTP_DIRECT_RESPONSE,
        "delegate": Message(name="Delegate", fields={"name": TEXT, "namespace": TEXT}),
        "rewrite": HTTP_REWRITE,
        "timeout": DURATION,
        "retries": HTTP_RETRY,
        "fault": HTTP_FAULT_INJECTION,
        "mirror": DESTINATION,
        "mirrors": ListOf(item=HTTP_MIRROR_POLICY),
        "mirrorPercent": UINT32,
        "mirrorPercentage": PERCENT,
        "corsPolicy": CORS_POLICY,
        "headers": HEADERS,
    },
    rules=(
        Rule(
            expression="!(has(self.redirect) && has(self.route) && self.route.size() > 0)",
            message="HTTP route cannot contain both route and redirect",
            rule="V7a",
            at=".route",
        ),
        Rule(
            expression="!(has(self.directResponse) && has(self.route) && self.route.size() > 0)",
            message="HTTP route cannot contain both route and direct_response",
            rule="V8a",
            at=".route",
        ),
        Rule(
            expression="has(self.delegate) || has(self.redirect) || has(self.directResponse) || (has(self.route) && self.route.size() > 0)",
            message="HTTP route, redirect or direct_response is required",
            rule="V6",
        ),
        Rule(
            expression="has(self.delegate) || !has(self.mirror) || !has(self.mirrors) || self.mirrors.size() == 0",
            message="HTTP route cannot contain both mirror and mirrors",
            rule="V9",
            at=".mirrors",
        ),
    ),
    descriptions={
        "match": "Match conditions: within one entry all must hold, among entries any.",
        "route": "Weighted destinations of the matched requests.",
        "timeout": "Timeout for requests; default disabled.",
    },
)
TLS_ROUTE = Message(
    name="TLSRoute",
    fields={
        "match": ListOf(
            item=Message(
                name="TLSMatchAttributes",
                fields={
                    "sniHosts": TEXTS,
                    "destinationSubnets": TEXTS,
                    "port": UINT32,
                    "sourceLabels": LABELS,
                    "gateways": TEXTS,
                    "sourceNamespace": TEXT,
                },
            )
        ),
        "route": ListOf(item=ROUTE_DESTINATION),
    },
    rules=(
        Rule(
            expression="has(self.match) && self.match.size() > 0",
            message="TLS route must have at least one match condition",
            rule="V37a",
            at=".match",
        ),
        Rule(
            expression="has(self.route) && self.route.size() > 0",
            message="TLS route is required",
            rule="V38a",
            at=".route",
        ),
    ),
)
TCP_ROUTE = Message(
    name="TCPRoute",
    fields={
        "match": ListOf(
            item=Message(
                name="L4MatchAttributes",
                fields={
                    "destinationSubnets": TEXTS,
                    "port": UINT32,
                    "sourceSubnet": TEXT,
                    "sourceLabels": LABELS,
                    "gateways": TEXTS,
                    "sourceNamespace": TEXT,
                },
            )
        ),
        "route": ListOf(item=ROUTE_DESTINATION),
    },
    rules=(
        Rule(
            expression="has(self.route) && self.route.size() > 0",
            message="TCP route is required",
            rule="V38b",
            at=".route",
        ),
    ),
)

VIRTUAL_SERVICE = Kind(
    group="networking.istio.io",
    kind="VirtualService",
    plural="virtualservices",
    short_name="vs",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting label/content routing, sni routing, etc.",
    spec=Message(
        name="VirtualService",
        fields={
            "hosts": TEXTS,
            "gateways": TEXTS,
            "http": ListOf(item=HTTP_ROUTE),
            "tls": ListOf(item=TLS_ROUTE),
            "tcp": ListOf(item=TCP_ROUTE),
            "exportTo": TEXTS,
        },
        descriptions={
            "hosts": "The destination hosts to which traffic is being sent.",
            "gateways": "The names of gateways and sidecars that should apply these routes.",
            "http": "An ordered list of route rules for HTTP traffic.",
            "tls": "An ordered list of route rules for non-terminated TLS & HTTPS traffic.",
            "tcp": "An ordered list of route rules for opaque TCP traffic.",
            "exportTo": "A list of namespaces to which this virtual service is exported.",
        },
        rules=(
            Rule(
                expression="(has(self.hosts) && self.hosts.size() > 0) || !has(self.gateways) || self.gateways.size() == 0",
                message="delegate virtual service must have no gateways specified",
                rule="V1a",
                at=".gateways",
            ),
            Rule(
                expression="(has(self.hosts) && self.hosts.size() > 0) || !has(self.tls) || self.tls.size() == 0",
                message="delegate virtual service must have no tls route specified",
                rule="V1b",
                at=".tls",
            ),
            Rule(
                expression="(has(self.hosts) && self.hosts.size() > 0) || !has(self.tcp) || self.tcp.size() == 0",
                message="delegate virtual service must have no tcp route specified",
                rule="V1c",
                at=".tcp",
            ),
            Rule(
                expression="(has(self.http) && self.http.size() > 0) || (has(self.tcp) && self.tcp.size() > 0) || (has(self.tls) && self.tls.size() > 0)",
                message="http, tcp or tls must be provided in virtual service",
                rule="V5",
            ),
        ),
    ),
    columns=(
        Column(
            name="Gateways",
            path=".spec.gateways",
            description="The names of gateways and sidecars that should apply these routes",
        ),
        Column(name="Hosts", path=".spec.hosts", description="The destination hosts to which traffic is being sent"),
    ),
)
