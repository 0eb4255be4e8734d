"""Rules about a Gateway and its servers (row V58); TLS settings have a module of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import check_namespaced_host, check_port, is_dns_label, is_ip, quote
from mesh_reference.validation.protocols import is_http, is_known, is_tls
from mesh_reference.validation.server_tls import PASSTHROUGH, check_server_tls
from mesh_reference.validation.workload_entry import UNIX, check_unix_address

Json = Mapping[str, Any]

_PLAIN_ONLY = ("caCertificates", "privateKey", "serverCertificate")


def check_gateway(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``, and that the name can stand in a route's ``gateways``."""
    name = metadata.get("name")
    if name and not is_dns_label(name):
        out.error(("metadata", "name"), "V58w", f"invalid gateway name: {quote(name)}")
    if not spec.get("servers"):
        out.error(("spec", "servers"), "V58a", "gateway must have at least one server")
    names: set[str] = set()
    for index, server in enumerate(spec.get("servers") or ()):
        here: Path = ("spec", "servers", index)
        _check_server(out, here, server)
        port = server.get("port")
        if port is None:
            continue
        port_name = port.get("name") or ""
        if port_name in names:
            message = f"port names in servers must be unique: duplicate name {port_name}"
            out.error((*here, "port", "name"), "V58f", message)
        names.add(port_name)
        if not is_http(port.get("protocol") or "") and (server.get("tls") or {}).get("httpsRedirect"):
            message = "tls.httpsRedirect should only be used with http servers"
            out.warning((*here, "tls", "httpsRedirect"), "V58x", message)


def _check_server(out: Findings, path: Path, server: Json) -> None:
    if not server.get("hosts"):
        out.error((*path, "hosts"), "V58b", "server config must contain at least one host")
    for index, host in enumerate(server.get("hosts") or ()):
        check_namespaced_host(out, (*path, "hosts", index), host, gateway=True)
    before = len(out)
    _check_port(out, (*path, "port"), server)
    port_is_sound = len(out) == before
    _check_bind(out, path, server)
    tls = server.get("tls")
    check_server_tls(out, (*path, "tls"), tls)
    if port_is_sound:
        _check_tls_fits(out, (*path, "tls"), server["port"].get("protocol") or "", tls)


def _check_port(out: Findings, path: Path, server: Json) -> None:
    port, bind = server.get("port"), server.get("bind") or ""
    if port is None:
        out.error(path, "V58g", "port is required")
        return
    protocol = port.get("protocol") or ""
    if not is_known(protocol):
        out.error(
            (*path, "protocol"),
            "V58h",
            f"invalid protocol {quote(protocol)}, supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, "
            "REDIS, MYSQL, TCP",
        )
    number = int(port.get("number") or 0)
    if number > 0 or not bind.startswith(UNIX):
        check_port(out, (*path, "number"), number)
    if port.get("targetPort"):
        out.error((*path, "targetPort"), "V58i", "targetPort has no impact on Gateways")
    if not port.get("name"):
        out.error((*path, "name"), "V58j", "port name must be set")


def _check_bind(out: Findings, path: Path, server: Json) -> None:
    bind = server.get("bind") or ""
    if bind.startswith(UNIX):
        check_unix_address(out, (*path, "bind"), bind.removeprefix(UNIX))
        if (server.get("port") or {}).get("number"):
            out.error((*path, "port", "number"), "V58k", "port number must be 0 for unix domain socket")
    elif bind and not is_ip(bind):
        out.error((*path, "bind"), "V58y", f"{bind} is not a valid IP")


def _check_tls_fits(out: Findings, path: Path, protocol: str, tls: Json | None) -> None:
    if is_tls(protocol):
        if tls is None:
            out.error(path, "V58c", "server must have TLS settings for HTTPS/TLS protocols")
    elif tls is not None and not is_http(protocol):
        out.error(path, "V58e", "server cannot have TLS settings for non HTTPS/TLS ports")
    elif tls is not None:  # a redirect to HTTPS is all that a plain HTTP server may say about TLS
        certificates = any(tls.get(name) for name in _PLAIN_ONLY)
        if certificates or (tls.get("mode") or "PASSTHROUGH") not in PASSTHROUGH:
            out.error(path, "V58d", "server cannot have TLS settings for plain text HTTP ports")
