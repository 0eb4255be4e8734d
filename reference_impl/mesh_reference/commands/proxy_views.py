"""The parts of a proxy's configuration that can be asked for: columns, rows, JSON, and what narrows each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh_reference.commands import summaries
from mesh_reference.commands.dump import Dump

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One way to narrow a part: keeps a resource when ``keeps(resource, wanted)``."""

    name: str
    help: str
    keeps: Callable[[Json, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: istioctl's names for it, its table, and the field of the dump that it shows."""

    aliases: tuple[str, ...]
    what: str
    columns: tuple[str, ...]
    rows: Callable[[Dump], list[summaries.Row]]
    field: str
    filters: tuple[Filter, ...] = ()
    gap: int = 5


def _parts_of(resource: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """(direction, port, subset, host) of a cluster's name; empty where the name has none."""
    parts = str(resource.get("name") or resource.get("cluster_name") or "").split("|")
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else ("", "", "", "")


def _address(listener: Json) -> Json:
    return (listener.get("address") or {}).get("socket_address") or {}


def _of_cluster(index: int, *, exact: bool) -> Callable[[Json, str], bool]:
    def keeps(resource: Json, wanted: str) -> bool:
        found = _parts_of(resource)[index]
        return found == wanted if exact else bool(found) and wanted in found

    return keeps


_FQDN = Filter(name="fqdn", help="whose host name holds this text.", keeps=_of_cluster(3, exact=False))
_PORT = Filter(name="port", help="of this port.", keeps=_of_cluster(1, exact=True))


def _serves(table: Json, wanted: str) -> bool:
    return any(wanted in domain for host in table.get("virtual_hosts") or () for domain in host.get("domains") or ())


PARTS: dict[str, Part] = {
    "cluster": Part(
        aliases=("clusters", "c"),
        what="the clusters: where requests can go, and the DestinationRule of each",
        columns=summaries.CLUSTER_COLUMNS,
        rows=summaries.clusters,
        field="clusters",
        filters=(
            _FQDN,
            _PORT,
            Filter(name="subset", help="whose subset's name holds this text.", keeps=_of_cluster(2, exact=False)),
            Filter(name="direction", help="of this direction, inbound or outbound.", keeps=_of_cluster(0, exact=True)),
        ),
    ),
    "listener": Part(
        aliases=("listeners", "l"),
        what="the listeners: what is taken, and where each filter chain sends it",
        columns=summaries.LISTENER_COLUMNS,
        rows=summaries.listeners,
        field="listeners",
        gap=1,
        filters=(
            Filter(name="port", help="of this port.", keeps=lambda item, wanted: str(_address(item).get("port_value")) == wanted),
            Filter(name="address", help="of this address.", keeps=lambda item, wanted: _address(item).get("address") == wanted),
        ),
    ),
    "route": Part(
        aliases=("routes", "r"),
        what="the routes: virtual hosts, their matches, and the VirtualService that each route comes from",
        columns=summaries.ROUTE_COLUMNS,
        rows=summaries.routes,
        field="routes",
        filters=(
            Filter(name="name", help="of this route configuration.", keeps=lambda item, wanted: item.get("name") == wanted),
            Filter(name="fqdn", help="with a domain that holds this text; other virtual hosts are left out.", keeps=_serves),
        ),
    ),
    "endpoint": Part(
        aliases=("endpoints", "ep"),
        what="the endpoints of each cluster, and whether they get requests",
        columns=summaries.ENDPOINT_COLUMNS,
        rows=summaries.endpoints,
        field="endpoints",
        filters=(
            _FQDN,
            _PORT,
            Filter(
                name="cluster",
                help="of this cluster, by its whole name.",
                keeps=lambda item, wanted: wanted in {item.get("name"), item.get("cluster_name")},
            ),
        ),
    ),
    "secret": Part(
        aliases=("secrets", "s"),
        what="the certificates: the proxy's own (default) and the roots it trusts (ROOTCA)",
        columns=summaries.SECRET_COLUMNS,
        rows=summaries.secrets,
        field="secrets",
    ),
    "bootstrap": Part(
        aliases=("b",),
        what="what the proxy was started with",
        columns=("FIELD", "VALUE"),
        rows=summaries.bootstrap,
        field="bootstrap",
    ),
}  # fmt: skip


def narrowed(found: Dump, name: str, wanted: Mapping[str, str]) -> Dump:
    """The dump with only those resources of the part that every named filter keeps."""
    part = PARTS[name]
    chosen = [(item, wanted[item.name]) for item in part.filters if wanted.get(item.name)]
    if not chosen:
        return found

    def kept(resources: tuple[Json, ...]) -> tuple[Json, ...]:
        return tuple(item for item in resources if all(each.keeps(item, value) for each, value in chosen))

    if name == "route":
        return replace(found, routes=tuple(_hosts(table, wanted.get("fqdn", "")) for table in kept(found.routes)))
    if name == "endpoint":
        return replace(
            found,
            endpoints=kept(found.endpoints),
            statuses=kept(found.statuses),
            clusters=kept(found.clusters),
        )
    changes: dict[str, Any] = {part.field: kept(getattr(found, part.field))}
    return replace(found, **changes)


def _hosts(table: Json, fqdn: str) -> Json:
    hosts = [
        host for host in table.get("virtual_hosts") or () if any(fqdn in domain for domain in host.get("domains") or ())
    ]
    return {**table, "virtual_hosts": hosts}


def data(found: Dump, name: str) -> Any:
    """The part as Envoy's dump has it; endpoints with their states where the running Envoy told them."""
    if name == "endpoint" and found.statuses:
        return list(found.statuses)
    value = getattr(found, PARTS[name].field)
    return value if isinstance(value, dict) else list(value)
