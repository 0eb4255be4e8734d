"""Rules about a traffic policy: pools, outlier detection, TLS, tunnels, ports (rows V42 to V47, V52, V53)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.model.schema.duration import MILLISECOND, parse_duration
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.load_balancer import check_load_balancer
from mesh_reference.validation.names import check_duration, fqdn_problem, is_ip

Json = Mapping[str, Any]

_PER_PORT = ("outlierDetection", "connectionPool", "loadBalancer", "tls")
_WHOLE = (*_PER_PORT, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget")


def check_traffic_policy(out: Findings, path: Path, namespace: str, policy: Json | None) -> None:
    """``trafficPolicy`` of a rule or of a subset; ``namespace`` is the resource's own."""
    if policy is None:
        return
    if all(policy.get(name) is None or policy[name] == [] for name in _WHOLE):
        out.error(path, "V42", "traffic policy must have at least one field")
        return
    if policy.get("tunnel") is not None and policy.get("proxyProtocol") is not None:
        out.error(path, "V43a", "tunnel and proxyProtocol must not be set together")
        return
    _check_blocks(out, path, namespace, policy)
    for index, entry in enumerate(policy.get("portLevelSettings") or ()):
        here = (*path, "portLevelSettings", index)
        if entry.get("port") is None:
            out.error((*here, "port"), "V44a", "portTrafficPolicy must have valid port")
        if all(entry.get(name) is None for name in _PER_PORT):
            out.error(here, "V44b", "port traffic policy must have at least one field")
        else:
            _check_blocks(out, here, namespace, entry)
    _check_tunnel(out, (*path, "tunnel"), policy.get("tunnel"))


def _check_blocks(out: Findings, path: Path, namespace: str, policy: Json) -> None:
    outlier = policy.get("outlierDetection")
    _check_outlier(out, (*path, "outlierDetection"), outlier)
    check_connection_pool(out, (*path, "connectionPool"), policy.get("connectionPool"))
    check_load_balancer(out, (*path, "loadBalancer"), policy.get("loadBalancer"), outlier)
    _check_tls(out, (*path, "tls"), namespace, policy.get("tls"))


def _check_tunnel(out: Findings, path: Path, tunnel: Json | None) -> None:
    if tunnel is None:
        return
    if tunnel.get("protocol") not in {None, "", "CONNECT", "POST"}:
        out.error((*path, "protocol"), "V43b", 'tunnel protocol must be "CONNECT" or "POST"')
    host = tunnel.get("targetHost") or ""
    problem = fqdn_problem(host)
    if problem and not is_ip(host):
        message = f"tunnel target host must be valid FQDN or IP address: {problem}; {host} is not a valid IP"
        out.error((*path, "targetHost"), "V43c", message)
    port = int(tunnel.get("targetPort") or 0)
    if not 1 <= port <= 65535:
        message = f"tunnel target port is invalid: port number {port} must be in the range 1..65535"
        out.error((*path, "targetPort"), "V43d", message)


def _check_outlier(out: Findings, path: Path, outlier: Json | None) -> None:
    if outlier is None:
        return
    check_duration(out, (*path, "baseEjectionTime"), outlier.get("baseEjectionTime"))
    if outlier.get("consecutiveErrors"):
        out.warning(
            (*path, "consecutiveErrors"),
            "V53w",
            "outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or "
            "consecutive5xxErrors instead",
        )
    if outlier.get("consecutiveLocalOriginFailures") and not outlier.get("splitExternalLocalOriginErrors"):
        out.error(
            (*path, "consecutiveLocalOriginFailures"),
            "V53b",
            "outlier detection consecutive local origin failures is specified, but split external local origin "
            "errors is set to false",
        )
    check_duration(out, (*path, "interval"), outlier.get("interval"))
    for name in ("maxEjectionPercent", "minHealthPercent"):
        percent = int(outlier.get(name) or 0)
        if not 0 <= percent <= 100:
            out.error((*path, name), "V53a", f"percentage {percent} is not in range 0..100")


def check_connection_pool(out: Findings, path: Path, pool: Json | None) -> None:
    """``connectionPool`` of a policy, and a Sidecar's pools (V45 to V47)."""
    if pool is None:
        return
    http, tcp = pool.get("http"), pool.get("tcp")
    if http is None and tcp is None:
        out.error(path, "V45a", "connection pool must have at least one field")
    if http is not None:
        _check_http_pool(out, (*path, "http"), http)
    if tcp is not None:
        _check_tcp_pool(out, (*path, "tcp"), tcp)


def _check_http_pool(out: Findings, path: Path, http: Json) -> None:
    for name, words in (
        ("http1MaxPendingRequests", "http1 max pending requests"),
        ("http2MaxRequests", "http2 max requests"),
        ("maxRequestsPerConnection", "max requests per connection"),
        ("maxRetries", "max retries"),
        ("maxConcurrentStreams", "max concurrent streams"),
    ):
        _check_not_negative(out, (*path, name), http.get(name), words)
    check_duration(out, (*path, "idleTimeout"), http.get("idleTimeout"))
    if http.get("h2UpgradePolicy") == "UPGRADE" and http.get("useClientProtocol"):
        message = "use client protocol must not be true when H2UpgradePolicy is UPGRADE"
        out.error((*path, "useClientProtocol"), "V46", message)
    keepalive = http.get("http2KeepAlive")
    if keepalive is None:
        return
    for name in ("interval", "timeout"):
        here = (*path, "http2KeepAlive", name)
        if keepalive.get(name) is None:
            out.error(here, "V47", f"http2 keepalive {name} is required")
        check_duration(out, here, keepalive.get(name))


def _check_tcp_pool(out: Findings, path: Path, tcp: Json) -> None:
    _check_not_negative(out, (*path, "maxConnections"), tcp.get("maxConnections"), "max connections")
    for name in ("connectTimeout", "maxConnectionDuration"):
        check_duration(out, (*path, name), tcp.get(name))
    idle = tcp.get("idleTimeout")
    if idle is not None and abs(parse_duration(idle)) >= MILLISECOND:  # 0s turns the timeout off
        check_duration(out, (*path, "idleTimeout"), idle)
    keepalive = tcp.get("tcpKeepalive") or {}
    for name in ("time", "interval"):
        check_duration(out, (*path, "tcpKeepalive", name), keepalive.get(name))


def _check_not_negative(out: Findings, path: Path, value: int | None, words: str) -> None:
    if value is not None and value < 0:
        out.error(path, "V45b", f"{words} must be non-negative")


def _check_tls(out: Findings, path: Path, namespace: str, tls: Json | None) -> None:
    if tls is None:
        return
    mode, credential = tls.get("mode") or "DISABLE", tls.get("credentialName") or ""
    if credential.startswith("configmap://"):
        _check_config_map(out, (*path, "credentialName"), namespace, credential)
    if tls.get("insecureSkipVerify"):
        _check_skip_verify(out, (*path, "insecureSkipVerify"), mode, tls)
    if mode in {"SIMPLE", "MUTUAL"} and credential:
        if any(tls.get(name) for name in ("clientCertificate", "caCertificates", "privateKey", "caCrl")):
            message = "cannot specify client certificates or CA certificate or CA CRL If credentialName is set"
            out.error((*path, "credentialName"), "V52c", message)
        return
    if mode == "MUTUAL":
        if not tls.get("clientCertificate"):
            out.error((*path, "clientCertificate"), "V52a", "client certificate required for mutual tls")
        if not tls.get("privateKey"):
            out.error((*path, "privateKey"), "V52b", "private key required for mutual tls")


def _check_config_map(out: Findings, path: Path, namespace: str, credential: str) -> None:
    owner, slash, name = credential.removeprefix("configmap://").partition("/")
    if not slash or not name:
        message = f'invalid configmap:// credentialName: "{credential}" is not configmap://<namespace>/<name>'
        out.error(path, "V52e", message)
    elif owner != namespace:
        message = f'invalid configmap:// credentialName: namespace must match the configuration namespace "{namespace}"'
        out.error(path, "V52e", message)


def _check_skip_verify(out: Findings, path: Path, mode: str, tls: Json) -> None:
    has_ca, has_names = bool(tls.get("caCertificates")), bool(tls.get("subjectAltNames"))
    if mode == "SIMPLE" and (has_ca or has_names or tls.get("credentialName")):
        message = (
            "cannot specify CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify is set true"
        )
        out.error(path, "V52d", message)
    if mode == "MUTUAL" and (has_ca or has_names):
        message = "cannot specify CaCertificates or SubjectAltNames when InsecureSkipVerify is set true"
        out.error(path, "V52d", message)
