"""Rules about a Sidecar (row V57)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.http_route import check_destination
from mesh_reference.validation.names import (
    check_label_selector,
    check_namespaced_host,
    check_port,
    fqdn_problem,
    is_ip,
    quote,
)
from mesh_reference.validation.protocols import check_port_name, check_protocol, is_http, is_tls
from mesh_reference.validation.server_tls import check_server_tls
from mesh_reference.validation.traffic_policy import check_connection_pool
from mesh_reference.validation.workload_entry import UNIX, check_unix_address

Json = Mapping[str, Any]

_HOST_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")
_LOCAL = frozenset({"", "127.0.0.1", "0.0.0.0", "::1", "::"})
_NOT_IN_TLS = (
    ("subjectAltNames", "subjectAltNames is not supported in ingress tls"),
    ("httpsRedirect", "httpsRedirect is not supported"),
    ("credentialName", "credentialName is not currently supported"),
    ("credentialNames", "credentialNames is not currently supported"),
    ("tlsCertificates", "tls_certificates is not currently supported"),
)
_WHOLE = ("outboundTrafficPolicy", "inboundConnectionPool")


def check_sidecar(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``; ``namespace`` is the resource's own."""
    check_label_selector(out, ("spec", "workloadSelector"), spec.get("workloadSelector"), "sidecar")
    if not spec.get("egress") and not spec.get("ingress") and all(spec.get(name) is None for name in _WHOLE):
        out.error(("spec",), "V57a", "sidecar: empty configuration provided")
        return
    _check_ingress(out, spec)
    check_connection_pool(out, ("spec", "inboundConnectionPool"), spec.get("inboundConnectionPool"))
    _check_egress(out, namespace, spec)
    _check_policy(out, ("spec", "outboundTrafficPolicy"), spec.get("outboundTrafficPolicy"))


def _check_ingress(out: Findings, spec: Json) -> None:
    numbers: set[int] = set()
    for index, listener in enumerate(spec.get("ingress") or ()):
        here: Path = ("spec", "ingress", index)
        port = listener.get("port")
        if port is None:
            out.error((*here, "port"), "V57b", "sidecar: port is required for ingress listeners")
            continue
        number = int(port.get("number") or 0)
        _check_port(out, here, listener)
        _check_ip(out, (*here, "bind"), listener.get("bind") or "")
        if number in numbers:
            out.error((*here, "port", "number"), "V57d", "sidecar: ports on IP bound listeners must be unique")
        numbers.add(number)
        _check_default_endpoint(out, (*here, "defaultEndpoint"), listener.get("defaultEndpoint") or "")
        _check_ingress_tls(out, here, listener)
        pool = listener.get("connectionPool")
        check_connection_pool(out, (*here, "connectionPool"), pool)
        protocol = port.get("protocol") or ""
        if pool is not None and pool.get("http") is not None and not is_http(protocol):
            out.warning(
                (*here, "connectionPool", "http"),
                "V57h",
                f"sidecar: HTTP connection pool settings are configured for port {number} "
                f"({quote(port.get('name') or '')}) but its protocol is not HTTP ({protocol}); "
                "only TCP settings will apply",
            )


def _check_port(out: Findings, path: Path, listener: Json) -> None:
    port = listener["port"]
    if port.get("targetPort"):
        out.error((*path, "port", "targetPort"), "V57c", "targetPort has no impact on Sidecars")
    if port.get("name"):
        check_port_name(out, (*path, "port", "name"), port["name"], "V57i")
    check_protocol(out, (*path, "port", "protocol"), port.get("protocol") or "", "V57j")
    if port.get("number") or path[1] == "ingress":
        check_port(out, (*path, "port", "number"), int(port.get("number") or 0))


def _check_ip(out: Findings, path: Path, bind: str) -> None:
    if bind and not is_ip(bind):
        out.error(path, "V57k", f"{bind} is not a valid IP")


def _check_default_endpoint(out: Findings, path: Path, endpoint: str) -> None:
    if not endpoint:
        return
    if endpoint.startswith(UNIX):
        check_unix_address(out, path, endpoint.removeprefix(UNIX))
        return
    parts = _HOST_PORT.fullmatch(endpoint)
    if parts is None:
        out.error(path, "V57e", f"address {endpoint}: want <host>:<port>")
        return
    if (parts[1] or parts[2] or "") not in _LOCAL:
        message = (
            "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>,0.0.0.0:<port>,[::1]:port,[::]:port,"
            "unix://filepath or unset"
        )
        out.error(path, "V57e", message)
    if not re.fullmatch(r"[-+]?[0-9]+", parts[3], re.ASCII):
        out.error(path, "V57f", f"sidecar: defaultEndpoint port ({parts[3]}) is not a number")
    else:
        check_port(out, path, int(parts[3]))


def _check_ingress_tls(out: Findings, path: Path, listener: Json) -> None:
    tls = listener.get("tls")
    if tls is None:
        return
    for name, words in _NOT_IN_TLS:
        if tls.get(name):
            out.error((*path, "tls", name), "V57g", f"sidecar: {words}")
    mode = tls.get("mode") or "PASSTHROUGH"
    if mode in {"ISTIO_MUTUAL", "AUTO_PASSTHROUGH"}:
        message = f"configuration is invalid: cannot set mode to {mode} in sidecar ingress tls"
        out.error((*path, "tls", "mode"), "V57l", message)
    if not is_tls(listener["port"].get("protocol") or ""):
        out.error((*path, "tls"), "V57m", "server cannot have TLS settings for non HTTPS/TLS ports")
    check_server_tls(out, (*path, "tls"), tls)


def _check_egress(out: Findings, namespace: str, spec: Json) -> None:
    numbers: set[int] = set()
    sockets: set[str] = set()
    listeners = spec.get("egress") or ()
    for index, listener in enumerate(listeners):
        here: Path = ("spec", "egress", index)
        port, bind = listener.get("port"), listener.get("bind") or ""
        if port is None:
            if index != len(listeners) - 1:
                message = "sidecar: the egress listener with empty port should be the last listener in the list"
                out.error(here, "V57o", message)
        else:
            _check_port(out, here, listener)
            number = int(port.get("number") or 0)
            if number:
                _check_ip(out, (*here, "bind"), bind)
                if number in numbers:
                    message = "sidecar: ports on IP bound listeners must be unique"
                    out.error((*here, "port", "number"), "V57d", message)
                numbers.add(number)
            else:
                _check_socket(out, here, listener, sockets)
        _check_egress_hosts(out, here, namespace, listener)


def _check_socket(out: Findings, path: Path, listener: Json, sockets: set[str]) -> None:
    bind = listener.get("bind") or ""
    if not bind.startswith(UNIX):
        message = "sidecar: ports with 0 value must have a unix domain socket bind address"
        out.error((*path, "bind"), "V57p", message)
    else:
        check_unix_address(out, (*path, "bind"), bind.removeprefix(UNIX))
    if (listener.get("captureMode") or "DEFAULT") not in {"DEFAULT", "NONE"}:
        message = "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners"
        out.error((*path, "captureMode"), "V57q", message)
    if bind in sockets:
        out.error((*path, "bind"), "V57r", "sidecar: unix domain socket values for listeners must be unique")
    sockets.add(bind)


def _check_egress_hosts(out: Findings, path: Path, namespace: str, listener: Json) -> None:
    hosts = listener.get("hosts") or ()
    if not hosts:
        out.error((*path, "hosts"), "V57n", "sidecar: egress listener must contain at least one host")
    seen: dict[str, set[str]] = {}
    for index, host in enumerate(hosts):
        here = (*path, "hosts", index)
        owner, slash, name = host.partition("/")
        if slash and not owner.startswith("~"):
            known = seen.setdefault(namespace if owner == "." else owner, set())
            if (name != "*" and (name in known or "*" in known)) or (name == "*" and known):
                out.warning(here, "V57s", f"duplicated egress host: {host}")
            known.add(name)
        check_namespaced_host(out, here, host, gateway=False)
    if "*" in seen.get("*", ()) and len(seen) > 1:
        message = "`*/*` host select all resources, no other hosts can be added"
        out.warning((*path, "hosts"), "V57t", message)


def _check_policy(out: Findings, path: Path, policy: Json | None) -> None:
    proxy = (policy or {}).get("egressProxy")
    if policy is None or proxy is None:
        return
    if (policy.get("mode") or "REGISTRY_ONLY") != "ALLOW_ANY":
        message = "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode"
        out.error((*path, "egressProxy"), "V57u", message)
        return
    problem = fqdn_problem(proxy.get("host") or "")
    if problem:
        out.error((*path, "egressProxy", "host"), "V57v", problem)
    if proxy.get("port") is None:
        out.error((*path, "egressProxy", "port"), "V57w", "sidecar: egress_proxy port must be non-nil")
        return
    if not problem:
        check_destination(out, (*path, "egressProxy"), proxy)
