"""What happens to traffic on its way to a host: a DestinationRule's policy, of which Sidecars share the pools.

Only the shape, and what CEL can say of it; the other rules are in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.destinations import PORT_SELECTOR
from mesh_reference.model.schema.types import (
    ANY_DURATION,
    DURATION,
    FLAG,
    INT32,
    NUMBER,
    TEXT,
    TEXTS,
    UINT32,
    UINT64,
    Choice,
    ListOf,
    MapOf,
    Message,
)

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
