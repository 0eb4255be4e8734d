"""The rows that a person reads of a dump, with istioctl's columns (§5). Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from mesh_reference.commands.dump import Dump, chains, filters

Json = dict[str, Any]
Row = tuple[str, ...]

CLUSTER_COLUMNS = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")
LISTENER_COLUMNS = ("ADDRESSES", "PORT", "MATCH", "DESTINATION")
ROUTE_COLUMNS = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")
ENDPOINT_COLUMNS = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
SECRET_COLUMNS = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE", "TRUST DOMAIN")  # fmt: skip
_NONE = "-"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PROTOCOLS = {
    ("http/1.0", "http/1.1", "h2c"): "HTTP",
    ("http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "HTTP TLS",
    ("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "Istio HTTP Plain",
    ("istio-peer-exchange", "istio"): "TCP TLS",
}
"""What istioctl calls these lists of ALPN names; others are shown as they are."""
_PASSTHROUGH, _BLACK_HOLE = "PassthroughCluster", "BlackHoleCluster"


def clusters(dump: Dump) -> list[Row]:
    """One row for each cluster, by host, subset and port."""
    return sorted(map(_cluster, dump.clusters), key=_cluster_order)


def _cluster_order(row: Row) -> tuple[str, str, int, str]:
    host, port, subset, direction, *_ = row
    return (host, "" if subset == _NONE else subset, int(port) if port.isdigit() else 0, direction)


def _cluster(cluster: Mapping[str, Any]) -> Row:
    name, kind = str(cluster.get("name", "")), str(cluster.get("type") or "STATIC")
    rule = config_of(cluster)
    parts = name.split("|")
    if len(parts) != 4:
        return (name, _NONE, _NONE, _NONE, kind, rule)
    return (parts[3], parts[1], parts[2] or _NONE, parts[0], kind, rule)


def config_of(resource: Mapping[str, Any]) -> str:
    """``name.namespace`` of the Istio resource that the metadata names, or ""."""
    path = ((resource.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
    parts = str(path).split("/")
    return f"{parts[7]}.{parts[5]}" if len(parts) == 8 else ""


def listeners(dump: Dump) -> list[Row]:
    """One row for each filter chain: by port and address, within a listener by destination, last letter first."""
    rows: list[tuple[int, str, list[Row]]] = []
    for listener in dump.listeners:
        where = (listener.get("address") or {}).get("socket_address") or {}
        address, port = str(where.get("address", _NONE)), int(where.get("port_value", 0))
        found = [(address, str(port), _chain_match(chain), _chain_goal(chain)) for chain in chains(listener)]
        rows.append((port, address, sorted(found, key=lambda row: row[3], reverse=True)))
    rows.sort(key=lambda item: item[:2])
    return [row for _, _, found in rows for row in found]


def _chain_match(chain: Mapping[str, Any]) -> str:
    match = chain.get("filter_chain_match") or {}
    words = []
    if match.get("server_names"):
        words.append(f"SNI: {','.join(match['server_names'])}")
    if match.get("transport_protocol"):
        words.append(f"Trans: {match['transport_protocol']}")
    if protocols := tuple(match.get("application_protocols") or ()):
        words.append(f"App: {_PROTOCOLS.get(protocols) or ','.join(protocols)}")
    port = f":{match['destination_port']}" if match.get("destination_port") else ""
    ranges = ",".join(
        f"{item.get('address_prefix')}/{item.get('prefix_len', 0)}" for item in match.get("prefix_ranges") or ()
    )
    if ranges or port:
        words.append(f"Addr: {ranges or '*'}{port}")
    return "; ".join(words) or "ALL"


def _chain_goal(chain: Mapping[str, Any]) -> str:
    for manager in filters(chain, "HttpConnectionManager"):
        if "route_config" in manager:
            return _inline(manager["route_config"])
        name = (manager.get("rds") or {}).get("route_config_name")
        return f"Route: {name}" if name else "HTTP"
    for proxy in filters(chain, "TcpProxy"):
        shares = (proxy.get("weighted_clusters") or {}).get("clusters") or ()
        goals = [proxy["cluster"]] if proxy.get("cluster") else [item.get("name", "") for item in shares]
        if goals and _BLACK_HOLE not in goals:
            return _goal(goals)
    return "Non-HTTP/Non-TCP"


def _goal(clusters_named: list[str]) -> str:
    """Passthrough goes by its bare name."""
    if any(_PASSTHROUGH in name for name in clusters_named):
        return ", ".join(clusters_named)
    return f"Cluster: {', '.join(clusters_named)}"


def _inline(table: Mapping[str, Any]) -> str:
    """A route configuration within its listener: its only cluster, or its paths."""
    hosts = table.get("virtual_hosts") or ()
    every = [route for host in hosts for route in host.get("routes") or ()]
    if len(hosts) == len(every) == 1 and (every[0].get("match") or {}).get("prefix") == "/":
        cluster = (every[0].get("route") or {}).get("cluster")
        if cluster:
            return _goal([cluster])
    told = []
    for host in hosts:
        domains = "" if host.get("domains") == ["*"] else "/".join(host.get("domains") or ()) + " "
        told.append(domains + ", ".join(match_text(route.get("match") or {}) for route in host.get("routes") or ()))
    return f"Inline Route: {'; '.join(told)}"


def routes(dump: Dump) -> list[Row]:
    """One row for each route but those that let unknown hosts pass; a virtual host without routes answers 404.

    Route configurations of a port come first, by number; others in the order of the dump.
    """
    rows: list[Row] = []
    for table in sorted(dump.routes, key=lambda item: _port_number(str(item.get("name", "")))):
        for host in table.get("virtual_hosts") or ():
            names = (str(table.get("name", "")), str(host.get("name", "")), _domains(host))
            rows += [
                (*names, match_text(route.get("match") or {}), config_of(route))
                for route in host.get("routes") or ()
                if (route.get("route") or {}).get("cluster") != _PASSTHROUGH
            ]
            if not host.get("routes"):
                rows.append((*names, "/*", "404"))
    return rows


def _port_number(name: str) -> int:
    return int(name) if name.isdigit() else 1 << 16


def _domains(host: Mapping[str, Any]) -> str:
    """The first two, and how many more; names that only spell another one out are left out."""
    every = [str(item) for item in host.get("domains") or ()]
    known = set(every)
    domains = [item for item in every if not any(_spells(item, end, known) for end in (".svc.cluster.local", ".svc"))]
    return ", ".join(domains) if len(domains) < 3 else f"{', '.join(domains[:2])} + {len(domains) - 2} more..."


def _spells(name: str, end: str, known: set[str]) -> bool:
    return name.endswith(end) and name.removesuffix(end) in known


def match_text(match: Mapping[str, Any]) -> str:
    """The path's condition as istioctl writes it, which tells nothing of conditions besides."""
    if match.get("path_separated_prefix"):
        return f"PathPrefix:{match['path_separated_prefix']}"
    if "path" in match:
        return str(match["path"])
    if "safe_regex" in match:
        return f"regex {match['safe_regex'].get('regex', '')}"
    return f"{match.get('prefix') or ''}*"


def endpoints(dump: Dump) -> list[Row]:
    """One row for each endpoint of each cluster; whether it is ejected, only the running Envoy's own list knows."""
    if dump.statuses:
        return sorted(_status_row(item, server) for item in dump.statuses for server in item.get("host_statuses") or ())
    return sorted({(address, health, "OK", cluster) for cluster, address, health in each_endpoint(dump)})


def _status_row(cluster: Mapping[str, Any], server: Mapping[str, Any]) -> Row:
    status = server.get("health_status") or {}
    health = _health(str(status.get("eds_health_status") or "HEALTHY"))
    if status.get("failed_active_health_check"):
        health = "UNHEALTHY"
    ejected = "FAILED" if status.get("failed_outlier_check") else "OK"
    return (_address(server.get("address") or {}), health, ejected, str(cluster.get("name", "")))


def each_endpoint(dump: Dump) -> Iterator[tuple[str, str, str]]:
    """(cluster, address:port, health) of clusters whose endpoints are discovered or fixed."""
    inline = (cluster.get("load_assignment") for cluster in dump.clusters)
    for assignment in (*dump.endpoints, *(item for item in inline if item)):
        for locality in assignment.get("endpoints") or ():
            for item in locality.get("lb_endpoints") or ():
                health = str(item.get("health_status") or "HEALTHY")
                where = (item.get("endpoint") or {}).get("address") or {}
                yield str(assignment.get("cluster_name", "")), _address(where), _health(health)


def entries_of(dump: Dump) -> dict[str, list[Json]]:
    """By cluster, the entries of its load assignment."""
    found: dict[str, list[Json]] = {}
    for assignment in dump.endpoints:
        for locality in assignment.get("endpoints") or ():
            found.setdefault(str(assignment.get("cluster_name", "")), []).extend(locality.get("lb_endpoints") or ())
    return found


def _address(where: Mapping[str, Any]) -> str:
    if "pipe" in where:
        return f"unix://{where['pipe'].get('path', '')}"
    socket = where.get("socket_address") or {}
    return f"{socket.get('address', '')}:{socket.get('port_value', 0)}"


def _health(word: str) -> str:
    return "HEALTHY" if word in {"UNKNOWN", "HEALTHY"} else word


def secrets(dump: Dump) -> list[Row]:
    """One row for each certificate chain and each root."""
    return [_secret(entry) for entry in dump.secrets]


def _secret(entry: Mapping[str, Any]) -> Row:
    name, secret = str(entry.get("name", "")), entry.get("secret") or {}
    status = "WARMING" if entry.get("warming") else "ACTIVE"
    own, trusted = secret.get("tls_certificate") or {}, secret.get("validation_context") or {}
    leaf = _certificate(own.get("certificate_chain") or trusted.get("trusted_ca") or {})
    if leaf is None:
        return (name, "CA" if trusted else "Cert Chain", status, "false", *[_NONE] * 4)
    return (name, leaf[0], status, "true", *leaf[1:])


def _certificate(source: Mapping[str, Any]) -> Row | None:
    """Of the first certificate: whether it is a CA's, serial number, end, begin and trust domain."""
    from cryptography import x509

    try:
        pem = (
            base64.b64decode(source.get("inline_bytes", ""), validate=True) or source.get("inline_string", "").encode()
        )
        found = x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, binascii.Error, IndexError):
        return None
    identity = ""
    signs = False
    for extension in found.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            identity = next(iter(extension.value.get_values_for_type(x509.UniformResourceIdentifier)), "")
        elif isinstance(extension.value, x509.BasicConstraints):
            signs = extension.value.ca
    return (
        "CA" if signs else "Cert Chain",
        f"{found.serial_number:032x}",
        f"{found.not_valid_after_utc:{_TIME}}",
        f"{found.not_valid_before_utc:{_TIME}}",
        identity.removeprefix("spiffe://").partition("/")[0] if identity.startswith("spiffe://") else "",
    )


def bootstrap(dump: Dump) -> list[Row]:
    """What the proxy was started with, in a few lines."""
    node = dump.bootstrap.get("node") or {}
    metadata = node.get("metadata") or {}
    return [
        ("node", str(node.get("id", _NONE))),
        ("cluster", str(node.get("cluster", _NONE))),
        *(
            (name, str(metadata[name]))
            for name in ("NAMESPACE", "WORKLOAD_NAME", "SERVICE_ACCOUNT")
            if name in metadata
        ),
        ("envoy", _version(node)),
    ]


def _version(node: Mapping[str, Any]) -> str:
    found = (node.get("user_agent_build_version") or {}).get("version") or {}
    numbers = [str(found.get(f"{part}_number", 0)) for part in ("major", "minor")]
    return ".".join([*numbers, str(found.get("patch", 0))]) if found else _NONE
