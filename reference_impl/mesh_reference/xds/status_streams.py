"""What ``istioctl proxy-status`` asks for on a stream of its own: who is in step, and what one proxy is told.

Only for callers who are known: those of the root namespace see every proxy, all others those of their own.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
from envoy.admin.v3 import config_dump_pb2, config_dump_shared_pb2
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf import any_pb2, json_format

from mesh_reference import __version__
from mesh_reference.xds import status
from mesh_reference.xds.resources import PUSH_ORDER, VIRTUAL_HOST

if TYPE_CHECKING:
    from mesh_reference.ca.authentication import Caller
    from mesh_reference.xds.hub import Hub
    from mesh_reference.xds.session import Session
    from mesh_reference.xds.subscriptions import Subscription

logger = logging.getLogger(__name__)

SYNCZ, CONFIG_DUMP = "istio.io/debug/syncz", "istio.io/debug/config_dump"
TYPES = frozenset({SYNCZ, CONFIG_DUMP})
_DUMPS = (config_dump_pb2, config_dump_shared_pb2)
"""Imported so that their messages can be made of JSON."""


async def serve(
    first: Any, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext, hub: Hub, caller: Caller | None
) -> None:
    """Answer the stream's requests until the caller ends it."""
    if caller is None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "authentication required: ask on the port with TLS")
        return
    root = hub.configuration.settings.root_namespace
    logger.info("%s/%s asks for %s", caller.namespace, caller.service_account, first.type_url)
    namespace = None if caller.namespace == root else caller.namespace
    await context.write(answer(first, hub, namespace).SerializeToString())
    async for request in requests:
        # What carries a nonce acknowledges an answer.
        if request.type_url in TYPES and not request.response_nonce:
            await context.write(answer(request, hub, namespace).SerializeToString())


def answer(request: Any, hub: Hub, namespace: str | None) -> Any:
    """A ``DiscoveryResponse``; without resources where there is no such proxy. ``namespace`` None = of every one."""
    seen = [one for one in hub.sessions if namespace in {None, one.proxy.namespace}]
    if request.type_url == SYNCZ:
        resources = [_packed(_client_config(one)) for one in seen]
    else:
        wanted = [name for name in request.resource_names if any(one.proxy.id == name for one in seen)]
        dump = status.config_dump(hub, wanted[0]) if wanted else None
        resources = [json_format.ParseDict(part, any_pb2.Any()) for part in (dump or {}).get("configs", ())]
    instance = {"Component": "istiod", "ID": socket.gethostname(), "Info": {"version": __version__}}
    return discovery_pb2.DiscoveryResponse(
        type_url=request.type_url,
        version_info=hub.configuration.version,
        nonce=hub.configuration.version,
        resources=resources,
        control_plane=base_pb2.ControlPlane(identifier=json.dumps(instance)),
    )


def _packed(message: Any) -> any_pb2.Any:
    out = any_pb2.Any()
    out.Pack(message)
    return out


def _client_config(session: Session) -> Any:
    proxy = session.proxy
    out = csds_pb2.ClientConfig(node=base_pb2.Node(id=proxy.id))
    out.node.metadata.update(
        {"CLUSTER_ID": proxy.cluster_id, "NAMESPACE": proxy.namespace, "ISTIO_VERSION": proxy.version}
    )
    for type_url in PUSH_ORDER:
        subscription = session.subscriptions.get(type_url)
        # Virtual hosts are parts of routes, and no type of Istio's.
        if subscription is None or type_url == VIRTUAL_HOST:
            continue
        found = out.generic_xds_configs.add(type_url=type_url, config_status=_state(subscription))
        if subscription.rejection is not None:
            found.error_state.details = subscription.rejection.message
            found.error_state.version_info = subscription.rejection.version
    return out


def _state(subscription: Subscription) -> Any:
    if subscription.rejection is not None:
        return csds_pb2.ERROR
    if not subscription.nonce:
        return csds_pb2.NOT_SENT
    return csds_pb2.SYNCED if subscription.nonce == subscription.acked_nonce else csds_pb2.STALE
