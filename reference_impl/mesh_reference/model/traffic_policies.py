"""A DestinationRule's traffic policy as typed values, and which of several applies to a port and a subset (§1.7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mesh_reference.model.reading import Fields

Simple = Literal["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHash:
    """D3, D4: what is hashed, and on which ring. ``cookie`` is (name, path, ttl in seconds or None, attributes)."""

    header: str = ""
    cookie: tuple[str, str, float | None, tuple[tuple[str, str], ...]] | None = None
    source_ip: bool = False
    query: str = ""
    maglev: int | None = None
    """Table size, 0 = Envoy's default; None = not Maglev."""
    ring: int = 1024
    """Minimum ring size, 0 = Envoy's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalitySetting:
    """D6, D7: which endpoints are near enough. ``distribute``: (from, ((to, percent), ...)); localities as ``region/zone/sub``.

    ``failover``: (region, region). ``priorities``: label keys, or ``key=value``. ``enabled`` False = everywhere alike (D8).
    """

    enabled: bool = True
    distribute: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    priorities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """D16: connections are carried in an HTTP request of the ``method`` CONNECT or POST to ``target`` (host:port)."""

    method: Literal["CONNECT", "POST"]
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """D2, D3, D5. ``warmup`` is (seconds, minimum percent, aggression)."""

    simple: Simple = "LEAST_REQUEST"
    hash: ConsistentHash | None = None
    warmup: tuple[float, float, float] | None = None
    locality: LocalitySetting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPool:
    """D9, D10. Numbers: 0 = unset = no limit. Durations in seconds, None = unset."""

    max_connections: int = 0
    connect_timeout: float | None = None
    keepalive: tuple[int, float | None, float | None] | None = None
    """(probes, time, interval); 0 and None = the system's."""
    max_connection_duration: float | None = None
    idle_timeout: float | None = None
    max_pending: int = 0
    max_requests: int = 0
    max_requests_per_connection: int = 0
    max_retries: int = 0
    max_concurrent_streams: int = 0
    h2_upgrade: bool = False
    use_client_protocol: bool = False
    http2_keepalive: tuple[float | None, float | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """D12. None = unset; an explicit 0 turns a detector off."""

    consecutive_5xx: int | None = None
    consecutive_gateway: int | None = None
    interval: float | None = None
    base_ejection: float | None = None
    max_ejection_percent: int = 0
    min_health_percent: int = 0
    split_local: bool = False
    consecutive_local: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """D13. Files are paths inside the proxy's file system."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    certificate: str = ""
    key: str = ""
    ca: str = ""
    sans: tuple[str, ...] = ()
    sni: str = ""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy:
    """One policy; None = that block is unset. ``ports`` replace the blocks wholesale for their port."""

    load_balancer: LoadBalancer | None = None
    pool: ConnectionPool | None = None
    outlier: OutlierDetection | None = None
    tls: ClientTls | None = None
    retry_budget: tuple[float, int] | None = None
    """D11: (percent, minimum concurrency)."""
    tunnel: Tunnel | None = None
    proxy_protocol: int = 0
    """D16: version of the PROXY header that connections begin with; 0 = none."""
    ports: tuple[tuple[int, TrafficPolicy], ...] = ()

    def for_port(self, port: int) -> TrafficPolicy:
        """The policy of that port: its portLevelSettings entry wholesale, else the top level."""
        for number, policy in self.ports:
            if number == port:
                return policy
        return replace(self, ports=())


def effective(top: TrafficPolicy | None, subset: TrafficPolicy | None, port: int) -> TrafficPolicy:
    """subset.portLevelSettings > subset policy > portLevelSettings > top level; the subset overrides block by block."""
    base = top.for_port(port) if top else TrafficPolicy()
    if subset is None:
        return base
    own = subset.for_port(port)
    return TrafficPolicy(
        load_balancer=own.load_balancer or base.load_balancer,
        pool=own.pool or base.pool,
        outlier=own.outlier or base.outlier,
        tls=own.tls or base.tls,
        retry_budget=own.retry_budget or base.retry_budget,
        tunnel=own.tunnel or base.tunnel,
        proxy_protocol=own.proxy_protocol or base.proxy_protocol,
    )


def read_traffic_policy(fields: Fields | None) -> TrafficPolicy | None:
    """The policy below ``trafficPolicy``; None when there is none."""
    if fields is None:
        return None
    tunnel, proxy = fields.optional("tunnel"), fields.optional("proxyProtocol")
    budget = fields.optional("retryBudget")
    blocks = _blocks(fields)
    ports = tuple(
        (int(item.fields("port").get("number", 0)), _blocks(item)) for item in fields.each("portLevelSettings")
    )
    return replace(
        blocks,
        retry_budget=None
        if budget is None
        else (float(budget.get("percent", 20)), int(budget.get("minRetryConcurrency") or 3)),
        tunnel=None
        if tunnel is None
        else Tunnel(
            method="POST" if tunnel.get("protocol", "").upper() == "POST" else "CONNECT",
            target=f"{tunnel.get('targetHost', '')}:{tunnel.get('targetPort', 0)}",
        ),
        proxy_protocol=0 if proxy is None else 2 if proxy.get("version") == "V2" else 1,
        ports=ports,
    )


def _blocks(fields: Fields) -> TrafficPolicy:
    return TrafficPolicy(
        load_balancer=_load_balancer(fields.optional("loadBalancer")),
        pool=read_pool(fields.optional("connectionPool")),
        outlier=_outlier(fields.optional("outlierDetection")),
        tls=_tls(fields.optional("tls")),
    )


def _load_balancer(fields: Fields | None) -> LoadBalancer | None:
    if fields is None:
        return None
    fields.unsupported("zoneAwareLbSetting", "endpoints of all zones are used alike")
    names: dict[str, Simple] = {
        "ROUND_ROBIN": "ROUND_ROBIN",
        "RANDOM": "RANDOM",
        "PASSTHROUGH": "PASSTHROUGH",
    }
    warmup = fields.optional("warmup")
    seconds = fields.seconds("warmupDurationSecs") if warmup is None else warmup.seconds("duration")
    return LoadBalancer(
        simple=names.get(fields.get("simple", ""), "LEAST_REQUEST"),
        hash=_hash(fields.optional("consistentHash")),
        warmup=None
        if seconds is None
        else (
            seconds,
            float(warmup.get("minimumPercent", 10)) if warmup is not None else 10.0,
            float(warmup.get("aggression", 1)) if warmup is not None else 1.0,
        ),
        locality=_locality(fields.optional("localityLbSetting")),
    )


def _locality(fields: Fields | None) -> LocalitySetting | None:
    if fields is None:
        return None
    return LocalitySetting(
        enabled=bool(fields.get("enabled", True)),
        distribute=tuple(
            (item.get("from", ""), tuple(sorted((to, int(share)) for to, share in (item.get("to") or {}).items())))
            for item in fields.each("distribute")
        ),
        failover=tuple((item.get("from", ""), item.get("to", "")) for item in fields.each("failover")),
        priorities=fields.texts("failoverPriority"),
    )


def _hash(fields: Fields | None) -> ConsistentHash | None:
    if fields is None:
        return None
    cookie = fields.optional("httpCookie")
    maglev, ring = fields.optional("maglev"), fields.optional("ringHash")
    return ConsistentHash(
        header=fields.get("httpHeaderName", ""),
        cookie=None
        if cookie is None
        else (
            cookie.get("name", ""),
            cookie.get("path", ""),
            cookie.seconds("ttl"),
            tuple((item.get("name", ""), item.get("value", "")) for item in cookie.each("attributes")),
        ),
        source_ip=bool(fields.get("useSourceIp", False)),
        query=fields.get("httpQueryParameterName", ""),
        maglev=None if maglev is None else _table_size(maglev),
        ring=int(fields.get("minimumRingSize") or 1024) if ring is None else int(ring.get("minimumRingSize", 0)),
    )


def _table_size(fields: Fields) -> int:
    """Slots of the table; 0 = Envoy's own number of them."""
    size = int(fields.get("tableSize", 0))
    if size == 1:
        fields.warn("tableSize", "Envoy divides by one less and ends: its own size is used")
        return 0
    return size


def read_pool(fields: Fields | None) -> ConnectionPool | None:
    """The pool below ``connectionPool``; None when there is none."""
    if fields is None:
        return None
    tcp, http = fields.fields("tcp"), fields.fields("http")
    keepalive, http2 = tcp.optional("tcpKeepalive"), http.optional("http2KeepAlive")
    idle = http.seconds("idleTimeout")
    return ConnectionPool(
        max_connections=int(tcp.get("maxConnections", 0)),
        connect_timeout=tcp.seconds("connectTimeout"),
        keepalive=None
        if keepalive is None
        else (int(keepalive.get("probes", 0)), keepalive.seconds("time"), keepalive.seconds("interval")),
        max_connection_duration=tcp.seconds("maxConnectionDuration"),
        idle_timeout=tcp.seconds("idleTimeout") if idle is None else idle,
        max_pending=int(http.get("http1MaxPendingRequests", 0)),
        max_requests=int(http.get("http2MaxRequests", 0)),
        max_requests_per_connection=int(http.get("maxRequestsPerConnection", 0)),
        max_retries=int(http.get("maxRetries", 0)),
        max_concurrent_streams=int(http.get("maxConcurrentStreams", 0)),
        h2_upgrade=http.get("h2UpgradePolicy") == "UPGRADE",
        use_client_protocol=bool(http.get("useClientProtocol", False)),
        http2_keepalive=None if http2 is None else (http2.seconds("interval"), http2.seconds("timeout")),
    )


def _outlier(fields: Fields | None) -> OutlierDetection | None:
    if fields is None:
        return None
    fields.unsupported("consecutiveErrors", "it has no effect, as in Istio; use consecutive5xxErrors")
    fields.unsupported("outlierDetectionHttpErrorCodes", "only 5xx count")

    def number(key: str) -> int | None:
        return int(fields[key]) if key in fields else None

    return OutlierDetection(
        consecutive_5xx=number("consecutive5xxErrors"),
        consecutive_gateway=number("consecutiveGatewayErrors"),
        interval=fields.seconds("interval"),
        base_ejection=fields.seconds("baseEjectionTime"),
        max_ejection_percent=number("maxEjectionPercent") or 0,
        min_health_percent=number("minHealthPercent") or 0,
        split_local=bool(fields.get("splitExternalLocalOriginErrors", False)),
        consecutive_local=number("consecutiveLocalOriginFailures") or 0,
    )


def _tls(fields: Fields | None) -> ClientTls | None:
    if fields is None:
        return None
    fields.unsupported("credentialName", "no credential is fetched; name files instead (D14)")
    fields.unsupported("caCrl", "no revocation list is checked")
    tls = ClientTls(
        mode=fields.get("mode", "DISABLE"),
        certificate=fields.get("clientCertificate", ""),
        key=fields.get("privateKey", ""),
        ca=fields.get("caCertificates", ""),
        sans=fields.texts("subjectAltNames"),
        sni=fields.get("sni", ""),
        skip_verify=bool(fields.get("insecureSkipVerify", False)),
    )
    if tls.mode == "MUTUAL" and not (tls.certificate and tls.key):
        raise fields.invalid("MUTUAL needs clientCertificate and privateKey", "mode")
    return tls
