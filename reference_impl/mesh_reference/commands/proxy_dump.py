"""The dump of one proxy as this control plane would configure it from a snapshot, connected or not. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from mesh_reference.commands.dump import Dump, route_names
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh_reference.model.proxies import Proxy
    from mesh_reference.xds.configuration import Configuration
    from mesh_reference.xds.resources import Encoded

Json = dict[str, Any]

_MAPS = frozenset({"filter_metadata", "typed_per_filter_config", "typed_extension_protocol_options"})


def of_proxy(configuration: Configuration, proxy: Proxy) -> Dump:
    """Everything that the proxy would be sent; the bootstrap and its secrets come from its agent and are not there."""
    clusters = bodies(configuration.all_of(CLUSTER, proxy).values())
    listeners = bodies(configuration.all_of(LISTENER, proxy).values())
    asked = [cluster["name"] for cluster in clusters if cluster.get("type") == "EDS"]
    return Dump(
        clusters=clusters,
        listeners=listeners,
        routes=bodies(configuration.named(ROUTE, proxy, route_names(listeners)).values()),
        endpoints=bodies(configuration.named(ENDPOINT, proxy, asked).values()),
    )


def bodies(found: Iterable[Encoded]) -> tuple[Json, ...]:
    """Each with its ``@type``, as in Envoy's dump. Equal resources give equal text: protobuf's maps have no order."""
    bodies = (json_format.MessageToDict(item.body, preserving_proto_field_name=True) for item in found)
    return tuple({name: _steady(value, name in _MAPS) for name, value in body.items()} for body in bodies)


def _steady(value: Any, in_map: bool) -> Any:
    """Fields in protobuf's order, what is in a map by name."""
    if isinstance(value, dict):
        names = sorted(value) if in_map else value
        return {name: _steady(value[name], in_map or name in _MAPS) for name in names}
    return [_steady(item, in_map) for item in value] if isinstance(value, list) else value
