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
)

STRING_MATCH = Message(
    name="StringMatch",
    fields={"exact": TEXT, "prefix": TEXT, "regex": TEXT},
    one_of=(("exact", "prefix", "regex"),),
)
PERCENT = Message(name="Percent", fields={"value": NUMBER})
HEADER_OPERATIONS = Message(name="HeaderOperations", fields={"set": LABELS, "add": LABELS, "remove": TEXTS})
HEADERS = Message(name="Headers", fields={"request": HEADER_OPERATIONS, "response": HEADER_OPERATIONS})
HTTP_ROUTE_DESTINATION = Message(
    name="HTTPRouteDestination",
    fields={"destination": DESTINATION, "weight": INT32, "headers": HEADERS},
)
ROUTE_DESTINATION = Message(name="RouteDestination", fields={"destination": DESTINATION, "weight": INT32})

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
)
HTTP_FAULT_INJECTION = Message(
    name="HTTPFaultInjection",
    fields={
        "delay": Message(
            name="Delay",
            fields={"percent": INT32, "fixedDelay": DURATION, "exponentialDelay": DURATION, "percentage": PERCENT},
            one_of=(("fixedDelay", "exponentialDelay"),),
        ),
        "abort": Message(
            name="Abort",
            fields={"httpStatus": INT32, "grpcStatus": TEXT, "http2Error": TEXT, "percentage": PERCENT},
            one_of=(("httpStatus", "grpcStatus", "http2Error"),),
        ),
    },
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
HTTP_MIRROR_POLICY = Message(name="HTTPMirrorPolicy", fields={"destination": DESTINATION, "percentage": PERCENT})
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
