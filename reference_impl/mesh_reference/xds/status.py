"""What the debug pages show of Pilot: who is connected and in step, and what a proxy is told. Read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, NAME_TABLE, PUSH_ORDER, ROUTE, SHORT, VIRTUAL_HOST

if TYPE_CHECKING:
    from mesh_reference.xds.hub import Hub
    from mesh_reference.xds.resources import Encoded
    from mesh_reference.xds.session import Session

Json = dict[str, Any]

_ISTIO = {
    CLUSTER: "cluster",
    LISTENER: "listener",
    ROUTE: "route",
    ENDPOINT: "endpoint",
    VIRTUAL_HOST: "virtual_host",
    NAME_TABLE: "name_table",
}
"""Prefixes of Istio's /debug/syncz fields."""
_DUMPS = {
    CLUSTER: ("ClustersConfigDump", "dynamic_active_clusters", "cluster"),
    LISTENER: ("ListenersConfigDump", "dynamic_listeners", "active_state"),
    ROUTE: ("RoutesConfigDump", "dynamic_route_configs", "route_config"),
    ENDPOINT: ("EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"),
}


def syncz(hub: Hub) -> list[Json]:
    """One entry for each stream: nonces sent and acknowledged by type, versions, and what was refused and why."""
    return [_sync(session) for session in hub.sessions]


def _sync(session: Session) -> Json:
    proxy = session.proxy
    out: Json = {
        "cluster_id": proxy.cluster_id,
        "proxy": proxy.id,
        "proxy_type": "router" if proxy.is_gateway else "sidecar",
        "istio_version": proxy.version,
        "protocol": session.dialect.method,
        "peer": session.peer,
        "synced": session.in_step,
    }
    rejections: Json = {}
    for type_url in PUSH_ORDER:
        subscription = session.subscriptions.get(type_url)
        if subscription is None:
            continue
        prefix = _ISTIO[type_url]
        out[f"{prefix}_sent"] = subscription.nonce
        out[f"{prefix}_acked"] = subscription.acked_nonce
        out[f"{prefix}_version"] = subscription.acked_version
        if subscription.rejection is not None:
            rejections[SHORT[type_url]] = {
                "version": subscription.rejection.version,
                "message": subscription.rejection.message,
            }
    out["rejections"] = rejections
    return out


def config_dump(hub: Hub, proxy_id: str) -> Json | None:
    """What the proxy ``pod.namespace`` is told, in the shape of Envoy's own dump; None when it is not connected."""
    session = next((found for found in hub.sessions if found.proxy.id == proxy_id), None)
    if session is None:
        return None
    configs = []
    for type_url in PUSH_ORDER:
        subscription = session.subscriptions.get(type_url)
        if subscription is None or type_url not in _DUMPS:
            continue  # virtual hosts are shown inside their route configuration, as in Envoy's dump
        kind, section, field = _DUMPS[type_url]
        found = (
            hub.configuration.all_of(type_url, session.proxy)
            if subscription.wildcard
            else hub.configuration.named(
                type_url, session.proxy, sorted(subscription.names), splits=session.dialect.splits_routes
            )
        )
        entries = [_entry(type_url, field, made) for made in found.values()]
        if type_url == ROUTE and session.dialect.splits_routes:
            for entry in entries:
                _fill(entry[field], hub, session)
        configs.append({"@type": f"type.googleapis.com/envoy.admin.v3.{kind}", section: entries})
    return {"configs": configs}


def _fill(table: Json, hub: Hub, session: Session) -> None:
    """With the virtual hosts that come one by one, by name, as Envoy shows them."""
    if "vhds" in table:
        found = hub.configuration.view(session.proxy).virtual_hosts([table["name"]])
        bodies = [json_format.MessageToDict(made.body, preserving_proto_field_name=True) for made in found.values()]
        for body in bodies:
            body.pop("@type", None)
        table["virtual_hosts"] = sorted(bodies, key=lambda host: str(host["name"]))


def _entry(type_url: str, field: str, made: Encoded) -> Json:
    """One resource in its section of Envoy's dump, with protobuf's own field names as there."""
    body = json_format.MessageToDict(made.body, preserving_proto_field_name=True)
    if type_url == LISTENER:
        return {"name": made.name, field: {"version_info": made.version, "listener": body}}
    if type_url == ENDPOINT:
        return {field: body}
    return {"version_info": made.version, field: body}
