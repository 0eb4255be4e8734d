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
SECRET_COLUMNS = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")
_NONE = "-"


def clusters(dump: Dump) -> list[Row]:
    """One row for each cluster."""
    return sorted(_cluster(item) for item in dump.clusters)


def _cluster(cluster: Mapping[str, Any]) -> Row:
    name, kind = str(cluster.get("name", "")), str(cluster.get("type") or "STATIC")
    rule = config_of(cluster)
    parts = name.split("|")
    if len(parts) != 4:
        return (name, _NONE, _NONE, _NONE, kind, rule)
    return (parts[3] or _NONE, parts[1], parts[2] or _NONE, parts[0], kind, rule)


def config_of(resource: Mapping[str, Any]) -> str:
    """``name.namespace`` of the Istio resource that the metadata names, or ""."""
    path = ((resource.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
    parts = str(path).split("/")
    return f"{parts[7]}.{parts[5]}" if len(parts) == 8 else ""


def listeners(dump: Dump) -> list[Row]:
    """One row for each filter chain."""
    rows = []
    for listener in dump.listeners:
        where = (listener.get("address") or {}).get("socket_address") or {}
        address, port = str(where.get("address", _NONE)), str(where.get("port_value", "0"))
        rows += [(address, port, _chain_match(chain), _chain_goal(chain)) for chain in chains(listener)]
    return sorted(rows, key=lambda row: (row[0], int(row[1])))


def _chain_match(chain: Mapping[str, Any]) -> str:
    match = chain.get("filter_chain_match") or {}
    words = []
    if match.get("server_names"):
        words.append(f"SNI: {','.join(match['server_names'])}")
    if match.get("transport_protocol"):
        words.append(f"Trans: {match['transport_protocol']}")
    if match.get("application_protocols"):
        words.append(f"App: {','.join(match['application_protocols'])}")
    words += [
        f"Addr: {cidr.get('address_prefix')}/{cidr.get('prefix_len', 0)}" for cidr in match.get("prefix_ranges") or ()
    ]
    if match.get("destination_port"):
        words.append(f"Port: {match['destination_port']}")
    return "; ".join(words) or "ALL"


def _chain_goal(chain: Mapping[str, Any]) -> str:
    for manager in filters(chain, "HttpConnectionManager"):
        name = (manager.get("rds") or {}).get("route_config_name")
        if name:
            return f"Route: {name}"
        inline = manager.get("route_config") or {}
        return f"Inline Route: {inline.get('name', '')}"
    for proxy in filters(chain, "TcpProxy"):
        shares = (proxy.get("weighted_clusters") or {}).get("clusters") or ()
        return "Cluster: " + (proxy.get("cluster") or ", ".join(item.get("name", "") for item in shares))
    return _NONE


def routes(dump: Dump) -> list[Row]:
    """One row for each route; a virtual host without routes answers 404."""
    rows = []
    for table in dump.routes:
        for host in table.get("virtual_hosts") or ():
            names = (str(table.get("name", "")), str(host.get("name", "")), _domains(host))
            rows += [
                (*names, match_text(route.get("match") or {}), config_of(route)) for route in host.get("routes") or ()
            ]
            if not host.get("routes"):
                rows.append((*names, "/*", "404"))
    return sorted(rows, key=lambda row: (not row[0].isdigit(), int(row[0]) if row[0].isdigit() else 0, row[0]))


def _domains(host: Mapping[str, Any]) -> str:
    domains = host.get("domains") or []
    return str(domains[0]) if len(domains) == 1 else f"{', '.join(domains[:2])} + {len(domains) - 2} more..."


def match_text(match: Mapping[str, Any]) -> str:
    """The path's condition as istioctl writes it; conditions besides are only hinted at."""
    if "path" in match:
        text = str(match["path"])
    elif "safe_regex" in match:
        text = f"regex {match['safe_regex'].get('regex', '')}"
    else:
        text = f"{match.get('prefix') or match.get('path_separated_prefix') or ''}*"
    more = len(match.get("headers") or ()) + len(match.get("query_parameters") or ())
    return f"{text} (+{more} conditions)" if more else text


def endpoints(dump: Dump) -> list[Row]:
    """One row for each endpoint of each cluster; ejection is known to the running Envoy alone."""
    return sorted(
        (address, health, "OK" if health == "HEALTHY" else _NONE, cluster)
        for cluster, address, health in each_endpoint(dump)
    )


def each_endpoint(dump: Dump) -> Iterator[tuple[str, str, str]]:
    """(cluster, address:port, health) of clusters whose endpoints are discovered or fixed."""
    inline = (cluster.get("load_assignment") for cluster in dump.clusters)
    for assignment in (*dump.endpoints, *(item for item in inline if item)):
        for locality in assignment.get("endpoints") or ():
            for item in locality.get("lb_endpoints") or ():
                health = str(item.get("health_status") or "HEALTHY")
                where = (item.get("endpoint") or {}).get("address") or {}
                yield str(assignment.get("cluster_name", "")), _address(where), _health(health)


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
    kind, source = "Cert Chain", (secret.get("tls_certificate") or {}).get("certificate_chain")
    if secret.get("validation_context"):
        kind, source = "CA", secret["validation_context"].get("trusted_ca")
    leaf = _certificate(source or {})
    if leaf is None:
        return (name, kind, status, "false", _NONE, _NONE, _NONE)
    return (name, kind, status, "true", *leaf)


def _certificate(source: Mapping[str, Any]) -> Row | None:
    from cryptography import x509

    try:
        pem = (
            base64.b64decode(source.get("inline_bytes", ""), validate=True) or source.get("inline_string", "").encode()
        )
        found = x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, binascii.Error, IndexError):
        return None
    return (f"{found.serial_number:x}", found.not_valid_after_utc.isoformat(), found.not_valid_before_utc.isoformat())


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
