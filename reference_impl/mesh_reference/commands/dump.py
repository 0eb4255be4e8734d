"""A proxy's configuration as Envoy's ``/config_dump`` shows it: read from any of its forms, or made of a snapshot. Pure.

Field names are protobuf's own (snake_case), as Envoy prints them. It knows the parts, not what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_reference.errors import MeshError

Json = dict[str, Any]

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_ADMIN = "type.googleapis.com/envoy.admin.v3."


class DumpError(MeshError):
    """Text or JSON that is no config dump; ``str()`` says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The resources of one proxy, each as a map."""

    clusters: tuple[Json, ...] = ()
    listeners: tuple[Json, ...] = ()
    routes: tuple[Json, ...] = ()
    endpoints: tuple[Json, ...] = ()
    secrets: tuple[Json, ...] = ()
    """Entries with ``name``, ``secret``, ``last_updated`` and whether they are still ``warming``."""
    bootstrap: Json = field(default_factory=dict)
    statuses: tuple[Json, ...] = ()
    """Clusters with the state of each of their hosts, from ``/clusters?format=json``."""


def read(value: Any) -> Dump:
    """The dump in ``value``: ``{"configs": [...]}`` of Envoy, or of this control plane. Raises `DumpError`.

    Envoy's ``/clusters?format=json`` will do for its endpoints.
    """
    if isinstance(value, dict) and isinstance(value.get("cluster_statuses"), list):
        return Dump(statuses=tuple(value["cluster_statuses"]))
    configs = value.get("configs") if isinstance(value, dict) else None
    if not isinstance(configs, list):
        raise DumpError('no config dump: want an object with a list "configs", as GET /config_dump of Envoy prints')
    parts: dict[str, list[Json]] = {name: [] for name in ("cluster", "listener", "route_config", "endpoint_config")}
    secrets: list[Json] = []
    bootstrap: Json = {}
    for section in [snake(item) for item in configs if isinstance(item, dict)]:
        kind = str(section.get("@type") or "").rpartition(".")[2]
        if kind == "BootstrapConfigDump":
            bootstrap = section.get("bootstrap") or {}
        elif kind == "SecretsConfigDump":
            secrets += _secrets(section)
        else:
            for name, item in _resources(section):
                parts[name].append(item)
    return Dump(
        clusters=tuple(parts["cluster"]),
        listeners=tuple(parts["listener"]),
        routes=tuple(parts["route_config"]),
        endpoints=tuple(parts["endpoint_config"]),
        secrets=tuple(secrets),
        bootstrap=bootstrap,
    )


def _resources(section: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """Each (kind, resource) in a section, whichever state it is in; the bootstrap's own ones come last."""
    for name, entries in sorted(section.items(), key=lambda item: item[0].startswith("static")):
        if not isinstance(entries, list) or "warming" in name:
            continue
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            holder = entry.get("active_state") if isinstance(entry.get("active_state"), dict) else entry
            for kind in ("cluster", "listener", "route_config", "endpoint_config"):
                found = holder.get(kind) if holder else None
                if isinstance(found, dict):
                    yield kind, found


def _secrets(section: Mapping[str, Any]) -> Iterator[Json]:
    for name, entries in section.items():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                yield {**entry, "warming": "warming" in name}


def snake(value: Any) -> Any:
    """JSON's field names as protobuf's; names that are no identifiers (map keys) stay."""
    if isinstance(value, dict):
        return {_snake_key(name): snake(item) for name, item in value.items()}
    return [snake(item) for item in value] if isinstance(value, list) else value


def _snake_key(name: str) -> str:
    return _CAMEL.sub(lambda found: "_" + found[1].lower(), name) if _PLAIN_KEY.fullmatch(name) else name


def to_json(dump: Dump, version: str = "") -> Json:
    """In the form of Envoy's config dump."""
    bootstrap = {"@type": f"{_ADMIN}BootstrapConfigDump", "bootstrap": dump.bootstrap}
    sections: list[Json] = [bootstrap] if dump.bootstrap else []
    sections += [
        {
            "@type": f"{_ADMIN}ClustersConfigDump",
            "version_info": version,
            "dynamic_active_clusters": [{"version_info": version, "cluster": item} for item in dump.clusters],
        },
        {
            "@type": f"{_ADMIN}ListenersConfigDump",
            "version_info": version,
            "dynamic_listeners": [
                {"name": item.get("name", ""), "active_state": {"version_info": version, "listener": item}}
                for item in dump.listeners
            ],
        },
        {
            "@type": f"{_ADMIN}RoutesConfigDump",
            "dynamic_route_configs": [{"version_info": version, "route_config": item} for item in dump.routes],
        },
        {
            "@type": f"{_ADMIN}EndpointsConfigDump",
            "dynamic_endpoint_configs": [{"endpoint_config": item} for item in dump.endpoints],
        },
    ]
    return {"configs": sections}


def route_names(listeners: tuple[Json, ...]) -> list[str]:
    """The route configurations that the listeners ask for, in their order, each once."""
    found: dict[str, None] = {}
    for listener in listeners:
        for connections in managers(listener):
            name = (connections.get("rds") or {}).get("route_config_name")
            if name:
                found[name] = None
    return list(found)


def chains(listener: Mapping[str, Any]) -> list[Json]:
    """The filter chains of a listener, the default one last."""
    found: list[Json] = list(listener.get("filter_chains") or ())
    return [*found, listener["default_filter_chain"]] if listener.get("default_filter_chain") else found


def filters(chain: Mapping[str, Any], kind: str) -> Iterator[Json]:
    """The configuration of each network filter of that type, such as ``HttpConnectionManager``."""
    for item in chain.get("filters") or ():
        config = item.get("typed_config") or {}
        if str(config.get("@type", "")).endswith(f".{kind}"):
            yield config


def managers(listener: Mapping[str, Any]) -> Iterator[Json]:
    """The HTTP connection managers of a listener."""
    for chain in chains(listener):
        yield from filters(chain, "HttpConnectionManager")
