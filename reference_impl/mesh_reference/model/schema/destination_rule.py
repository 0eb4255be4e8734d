"""DestinationRule, field by field, as istio.io/api networking defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.types import (
    ANY_DURATION,
    DURATION,
    FLAG,
    INT32,
    LABELS,
    NUMBER,
    TEXT,
    TEXTS,
    UINT32,
    UINT64,
    Choice,
    Column,
    Kind,
    ListOf,
    MapOf,
    Message,
    Rule,
    Text,
)
from mesh_reference.model.schema.virtual_service import PORT_SELECTOR

WORKLOAD_SELECTOR = Message(
    name="WorkloadSelector",
    fields={
        "matchLabels": MapOf(
            value=Text(
                at_most=63,
                rules=(
                    Rule(
                        expression="!self.contains('*')", message="wildcard is not supported in selector", rule="V60b"
                    ),
                ),
            ),
            at_most=4096,
            rules=(
                Rule(
                    expression="self.all(key, !key.contains('*'))",
                    message="wildcard is not supported in selector",
                    rule="V60b",
                ),
                Rule(
                    expression="self.all(key, key.size() != 0)",
                    message="empty key is not supported in selector",
                    rule="V60a",
                ),
            ),
        )
    },
)
"""Pods by ``matchLabels``, as the security kinds and DestinationRule write it."""
FAILOVERS = ListOf(item=Message(name="Failover", fields={"from": TEXT, "to": TEXT}))

CONSISTENT_HASH = Message(
    name="ConsistentHashLB",
    fields={
        "httpHeaderName": TEXT,
        "httpCookie": Message(
            name="HTTPCookie",
            fields={
                "name": TEXT,
                "path": TEXT,
                "ttl": ANY_DURATION,
                "attributes": ListOf(item=Message(name="Attribute", fields={"name": TEXT, "value": TEXT})),
            },
        ),
        "useSourceIp": FLAG,
        "httpQueryParameterName": TEXT,
        "ringHash": Message(name="RingHash", fields={"minimumRingSize": UINT64}),
        "maglev": Message(name="MagLev", fields={"tableSize": UINT64}),
        "minimumRingSize": UINT64,
    },
    one_of=(
        ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        ("ringHash", "maglev"),
    ),
)
LOAD_BALANCER = Message(
    name="LoadBalancerSettings",
    fields={
        "simple": Choice(
            names=("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"),
        ),
        "consistentHash": CONSISTENT_HASH,
        "localityLbSetting": Message(
            name="LocalityLoadBalancerSetting",
            fields={
                "distribute": ListOf(
                    item=Message(name="Distribute", fields={"from": TEXT, "to": MapOf(value=UINT32)}),
                ),
                "failover": FAILOVERS,
                "failoverPriority": TEXTS,
                "enabled": FLAG,
            },
        ),
        "zoneAwareLbSetting": Message(
            name="ZoneAwareLoadBalancerSetting",
            fields={"enabled": FLAG, "failover": FAILOVERS, "failoverPriority": TEXTS, "minClusterSize": UINT32},
        ),
        "warmupDurationSecs": DURATION,
        "warmup": Message(
            name="WarmupConfiguration",
            fields={"duration": DURATION, "minimumPercent": NUMBER, "aggression": NUMBER},
        ),
    },
    one_of=(("simple", "consistentHash"),),
)
CONNECTION_POOL = Message(
    name="ConnectionPoolSettings",
    fields={
        "tcp": Message(
            name="TCPSettings",
            fields={
                "maxConnections": INT32,
                "connectTimeout": DURATION,
                "tcpKeepalive": Message(
                    name="TcpKeepalive",
                    fields={"probes": UINT32, "time": DURATION, "interval": DURATION},
                ),
                "maxConnectionDuration": DURATION,
                "idleTimeout": ANY_DURATION,  # 0s turns it off
            },
        ),
        "http": Message(
            name="HTTPSettings",
            fields={
                "http1MaxPendingRequests": INT32,
                "http2MaxRequests": INT32,
                "maxRequestsPerConnection": INT32,
                "maxRetries": INT32,
                "idleTimeout": DURATION,
                "h2UpgradePolicy": Choice(names=("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")),
                "useClientProtocol": FLAG,
                "maxConcurrentStreams": INT32,
                "http2KeepAlive": Message(
                    name="ConnectionKeepalive",
                    fields={"interval": DURATION, "timeout": DURATION},
                ),
            },
        ),
    },
)
OUTLIER_DETECTION = Message(
    name="OutlierDetection",
    fields={
        "consecutiveErrors": INT32,
        "splitExternalLocalOriginErrors": FLAG,
        "consecutiveLocalOriginFailures": UINT32,
        "consecutiveGatewayErrors": UINT32,
        "consecutive5xxErrors": UINT32,
        "interval": DURATION,
        "baseEjectionTime": DURATION,
        "maxEjectionPercent": INT32,
        "minHealthPercent": INT32,
        "outlierDetectionHttpErrorCodes": ListOf(item=UINT32),
    },
)
CLIENT_TLS = Message(
    name="ClientTLSSettings",
    fields={
        "mode": Choice(names=("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")),
        "clientCertificate": TEXT,
        "privateKey": TEXT,
        "caCertificates": TEXT,
        "credentialName": TEXT,
        "subjectAltNames": TEXTS,
        "sni": TEXT,
        "insecureSkipVerify": FLAG,
        "caCrl": TEXT,
    },
)
_PER_PORT = {
    "loadBalancer": LOAD_BALANCER,
    "connectionPool": CONNECTION_POOL,
    "outlierDetection": OUTLIER_DETECTION,
    "tls": CLIENT_TLS,
}
TRAFFIC_POLICY = Message(
    name="TrafficPolicy",
    fields={
        **_PER_PORT,
        "portLevelSettings": ListOf(
            item=Message(name="PortTrafficPolicy", fields={"port": PORT_SELECTOR, **_PER_PORT}), at_most=4096
        ),
        "tunnel": Message(
            name="TunnelSettings",
            fields={"protocol": TEXT, "targetHost": TEXT, "targetPort": UINT32},
        ),
        "proxyProtocol": Message(name="ProxyProtocol", fields={"version": Choice(names=("V1", "V2"))}),
        "retryBudget": Message(
            name="RetryBudget",
            fields={"percent": NUMBER, "minRetryConcurrency": UINT32, "budgetInterval": ANY_DURATION},
        ),
    },
)
SUBSET = Message(name="Subset", fields={"name": TEXT, "labels": LABELS, "trafficPolicy": TRAFFIC_POLICY})

DESTINATION_RULE = Kind(
    group="networking.istio.io",
    kind="DestinationRule",
    plural="destinationrules",
    short_name="dr",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting load balancing, outlier detection, etc.",
    spec=Message(
        name="DestinationRule",
        fields={
            "host": TEXT,
            "trafficPolicy": TRAFFIC_POLICY,
            "subsets": ListOf(item=SUBSET),
            "exportTo": TEXTS,
            "workloadSelector": WORKLOAD_SELECTOR,
        },
        descriptions={
            "host": "The name of a service from the service registry.",
            "trafficPolicy": "Traffic policies to apply (load balancing policy, connection pool sizes, outlier detection).",
            "subsets": "One or more named sets that represent individual versions of a service.",
            "exportTo": "A list of namespaces to which this destination rule is exported.",
            "workloadSelector": "The pods on which this configuration is applied; default all of the namespace.",
        },
    ),
    columns=(Column(name="Host", path=".spec.host", description="The name of a service from the service registry"),),
)
