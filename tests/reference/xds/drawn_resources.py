"""Resources as hypothesis draws them, for the law that Envoy takes whatever Galley lets in. Some are refused by Galley."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORD = st.sampled_from(["a", "/a", "/b/c", "v1", "x-y", "a.b"])
STRING = st.one_of(
    st.builds(lambda value: {"exact": value}, WORD),
    st.builds(lambda value: {"prefix": value}, WORD),
    st.sampled_from([{"regex": "a+"}, {"regex": "/(x|y)/[0-9]*"}, {"regex": ".*"}]),
)
HEADERS = st.dictionaries(st.sampled_from(["x-a", "x-b", "cookie"]), STRING, max_size=2)
MATCH = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("m"),
        "uri": STRING,
        "ignoreUriCase": st.booleans(),
        "method": STRING,
        "headers": HEADERS,
        "withoutHeaders": HEADERS,
        "queryParams": HEADERS,
        "port": st.just(80),
        "sourceLabels": st.just({"app": "t"}),
    },
)
PERCENT = st.builds(lambda value: {"value": value}, st.sampled_from([0, 0.1, 12.5, 100]))
DURATION = st.sampled_from(["5ms", "1s", "2.5s", "1m"])
TARGET = st.builds(
    lambda subset: {"host": "reviews", **subset}, st.sampled_from([{}, {"subset": "s0"}, {"subset": "no"}])
)
BRANCH = st.builds(
    lambda target, weight, headers: {"destination": target, "weight": weight, "headers": headers},
    TARGET,
    st.integers(0, 100),
    st.sampled_from([{}, {"request": {"set": {"x-w": "1", "Host": "h"}}, "response": {"remove": ["x-r"]}}]),
)
ACTION = st.one_of(
    st.fixed_dictionaries({"route": st.lists(BRANCH, min_size=1, max_size=3)}),
    st.just({"redirect": {"uri": "/r", "authority": "else", "redirectCode": 308, "port": 81}}),
    st.just({"redirect": {"prefixRewrite": "/p", "derivePort": "FROM_REQUEST_PORT", "scheme": "https"}}),
    st.just({"directResponse": {"status": 418, "body": {"string": "tea"}}}),
)
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "match": st.lists(MATCH, min_size=1, max_size=2),
        "timeout": DURATION,
        "retries": st.builds(
            lambda attempts, on, per: {"attempts": attempts, "retryOn": on, "perTryTimeout": per},
            st.integers(0, 5), st.sampled_from(["5xx", "503,reset", ""]), DURATION,
        ),
        "fault": st.builds(
            lambda delay, percent: {
                "delay": {"fixedDelay": delay, "percentage": percent},
                "abort": {"httpStatus": 555, "percentage": percent},
            },
            DURATION, PERCENT,
        ),
        "mirror": TARGET,
        "mirrorPercentage": PERCENT,
        "rewrite": st.sampled_from(
            [{"uri": "/n"}, {"authority": "h"}, {"uriRegexRewrite": {"match": "^/(.*)$", "rewrite": r"/x/\1"}}]
        ),
        "headers": st.just({"response": {"set": {"x-mesh-epoch": "1"}, "add": {"x-a": "%%"}, "remove": ["server"]}}),
        "corsPolicy": st.just({"allowOrigins": [{"exact": "http://x"}, {"regex": "a.*"}], "maxAge": "24h"}),
    },
)  # fmt: skip
ROUTES = st.lists(st.builds(lambda action, extras: {**extras, **action}, ACTION, EXTRAS), min_size=1, max_size=3)
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "loadBalancer": st.sampled_from(
            [
                {"simple": "RANDOM"}, {"simple": "PASSTHROUGH"}, {"simple": "ROUND_ROBIN", "warmup": {"duration": "10s"}},
                {"consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}}},
                {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 101}}},
                {"localityLbSetting": {"distribute": [{"from": "*", "to": {"r/*": 30, "*": 70}}]}},
                {"localityLbSetting": {"failoverPriority": ["topology.kubernetes.io/region", "app=t"]}},
            ]
        ),
        "connectionPool": st.sampled_from(
            [
                {"http": {"http1MaxPendingRequests": 1, "maxRequestsPerConnection": 2, "idleTimeout": "3s"}},
                {"http": {"h2UpgradePolicy": "UPGRADE", "maxConcurrentStreams": 9}},
                {"tcp": {"maxConnections": 3, "connectTimeout": "30ms", "tcpKeepalive": {"time": "7200s", "probes": 3}}},
                {"http": {"useClientProtocol": True}},
            ]
        ),
        "outlierDetection": st.sampled_from(
            [
                {"consecutive5xxErrors": 0, "interval": "1s"},
                {"consecutiveGatewayErrors": 3, "baseEjectionTime": "3m", "minHealthPercent": 50},
            ]
        ),
        "tunnel": st.just({"protocol": "POST", "targetHost": "proxy.example", "targetPort": 3128}),
        "proxyProtocol": st.sampled_from([{"version": "V1"}, {"version": "V2"}]),
        "retryBudget": st.just({"percent": 25, "minRetryConcurrency": 2}),
        "tls": st.sampled_from([{"mode": "ISTIO_MUTUAL"}, {"mode": "SIMPLE", "sni": "x.y"}, {"mode": "DISABLE"}, {"mode": "SIMPLE"}]),
    },
)  # fmt: skip


L4_MATCH = st.fixed_dictionaries(
    {},
    optional={
        "port": st.sampled_from([5432, 443]),
        "destinationSubnets": st.lists(st.sampled_from(["10.0.0.0/8", "192.0.2.7", "10.1.0.0/16"]), max_size=2, unique=True),
        "gateways": st.just(["mesh"]),
    },
)  # fmt: skip
L4_ROUTE = st.lists(
    BRANCH.map(lambda branch: {key: branch[key] for key in ("destination", "weight")}), min_size=1, max_size=2
)
TCP = st.lists(
    st.fixed_dictionaries({"route": L4_ROUTE}, optional={"match": st.lists(L4_MATCH, min_size=1, max_size=2)}),
    max_size=3,
)
SNI = st.lists(st.sampled_from(["a.secure.example", "*.secure.example", "b.secure.example"]), min_size=1, unique=True)
TLS = st.lists(
    st.builds(
        lambda matches, route: {"match": matches, "route": route},
        st.lists(st.builds(lambda match, sni: {**match, "sniHosts": sni}, L4_MATCH, SNI), min_size=1, max_size=2),
        L4_ROUTE,
    ),
    max_size=3,
)
ENTRY = st.builds(
    lambda ports, spec: {"ports": ports, **spec},
    st.lists(
        st.sampled_from(
            [
                {"number": 443, "name": "https", "protocol": "HTTPS"}, {"number": 5432, "name": "tcp", "protocol": "TCP"},
                {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080},
                {"number": 90, "name": "grpc", "protocol": "GRPC"}, {"number": 5433, "name": "mongo", "protocol": "MONGO"},
            ]
        ),
        min_size=1, max_size=3, unique_by=lambda port: port["number"],
    ),
    st.sampled_from(
        [
            {"resolution": "NONE"}, {"resolution": "NONE", "addresses": ["192.0.2.0/24", "198.51.100.0/24"]},
            {"resolution": "STATIC", "endpoints": [{"address": "192.0.2.1", "weight": 3, "locality": "r/z"}]},
            {"resolution": "STATIC", "endpoints": [{"address": "unix:///run/x.sock"}]},
            {"resolution": "DNS", "location": "MESH_INTERNAL", "subjectAltNames": ["spiffe://x/y"]},
            {"resolution": "DNS", "endpoints": [{"address": "a.example", "ports": {"https": 8443}}, {"address": "192.0.2.3"}]},
            {"resolution": "DNS_ROUND_ROBIN", "addresses": ["240.0.0.9"]},
            {"resolution": "STATIC", "location": "MESH_INTERNAL", "workloadSelector": {"labels": {"app": "t"}}},
        ]
    ),
)  # fmt: skip
SIDECAR = st.sampled_from(
    [
        None, None,
        {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        {
            "egress": [
                {"port": {"number": 80, "protocol": "HTTP", "name": "h"}, "hosts": ["*/reviews.shop.svc.cluster.local"]},
                {"hosts": ["./*"]},
            ]
        },
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "reviews.shop.svc.cluster.local", "port": {"number": 80}}}},
        {
            "ingress": [
                {"port": {"number": 9080, "protocol": "HTTP", "name": "h"}, "defaultEndpoint": "127.0.0.1:8080"},
                {"port": {"number": 9081, "protocol": "TCP", "name": "t"}, "defaultEndpoint": "unix:///run/app.sock"},
            ],
            "inboundConnectionPool": {"http": {"http1MaxPendingRequests": 3}},
        },
    ]
)  # fmt: skip


def servers(certificate: str, key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Servers of a Gateway, on the two ports that its Service has; ``certificate`` and ``key`` are files."""
    files = {"serverCertificate": certificate, "privateKey": key}
    hosts = st.lists(
        st.sampled_from(["*", "*.example", "a.example", "./b.example", "*/c.example"]),
        min_size=1,
        max_size=2,
        unique=True,
    )
    plain = st.builds(
        lambda names, tls: {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": names, **tls},
        hosts,
        st.sampled_from([{}, {"tls": {"httpsRedirect": True}}]),
    )
    ended = st.builds(
        lambda names, tls: {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": names, "tls": tls},
        hosts,
        st.sampled_from(
            [
                {"mode": "SIMPLE", **files},
                {"mode": "MUTUAL", "caCertificates": certificate, **files},
                {
                    "mode": "SIMPLE",
                    "minProtocolVersion": "TLSV1_2",
                    "cipherSuites": ["ECDHE-RSA-AES256-GCM-SHA384"],
                    **files,
                },
                {"mode": "MUTUAL", "caCertificates": certificate, "subjectAltNames": ["spiffe://x/y"], **files},
            ]
        ),
    )
    passed = st.builds(
        lambda names: {
            "port": {"number": 443, "name": "tls", "protocol": "TLS"}, "hosts": names, "tls": {"mode": "PASSTHROUGH"},
        },
        hosts,
    )  # fmt: skip
    tcp = st.just({"port": {"number": 80, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]})
    return st.lists(st.one_of(plain, ended, passed, tcp), min_size=1, max_size=2)
