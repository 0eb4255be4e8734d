"""The two wire forms of ADS, state of the world and delta: how a response is put together. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from envoy.service.discovery.v3 import discovery_pb2

from mesh_reference.xds import wire
from mesh_reference.xds.resources import NAME_TABLE, WHOLE_STATE, WILDCARD_TYPES
from mesh_reference.xds.subscriptions import WILDCARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from mesh_reference.xds.resources import Encoded
    from mesh_reference.xds.subscriptions import Asked, Subscription

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Dialect(Protocol):
    """What a stream needs to know of its protocol."""

    method: str
    request_type: Any
    splits_routes: bool
    """Can virtual hosts be told one by one?"""

    def receive(self, subscription: Subscription, request: Any) -> Asked | None:
        """Take the request into the subscription; say what is to be answered."""
        ...

    def acknowledges(self, subscription: Subscription, request: Any) -> bool:
        """Whether the request says no more than that the last response was taken; if so it is noted."""
        ...

    def response(
        self,
        type_url: str,
        version: str,
        nonce: str,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],
        held: Mapping[str, Encoded],
    ) -> bytes:
        """``changed`` and ``removed`` since the last response; ``held`` is all that the proxy shall hold afterwards."""
        ...


class StateOfTheWorld:
    """StreamAggregatedResources: clusters and listeners always whole, endpoints and routes as far as they changed."""

    method = "StreamAggregatedResources"
    request_type = discovery_pb2.DiscoveryRequest
    splits_routes = False

    def receive(self, subscription: Subscription, request: discovery_pb2.DiscoveryRequest) -> Asked | None:
        return subscription.receive_state(request, whole=request.type_url in WHOLE_STATE | {NAME_TABLE})

    def acknowledges(self, subscription: Subscription, request: discovery_pb2.DiscoveryRequest) -> bool:
        same = subscription.names.symmetric_difference(request.resource_names) <= {WILDCARD}
        return same and subscription.acknowledged(request)

    def response(
        self,
        type_url: str,
        version: str,
        nonce: str,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],  # noqa: ARG002  told by what is left out
        held: Mapping[str, Encoded],
    ) -> bytes:
        told = held if type_url in WHOLE_STATE else changed
        return wire.state_response(version, (made.value for made in told.values()), type_url, nonce)


class Delta:
    """DeltaAggregatedResources: what changed, and the names of what is gone."""

    method = "DeltaAggregatedResources"
    request_type = discovery_pb2.DeltaDiscoveryRequest
    splits_routes = True

    def receive(self, subscription: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> Asked | None:
        return subscription.receive_delta(request, whole=request.type_url in WILDCARD_TYPES)

    def acknowledges(self, subscription: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> bool:
        asks = request.resource_names_subscribe or request.resource_names_unsubscribe
        return not asks and subscription.acknowledged(request)

    def response(
        self,
        type_url: str,
        version: str,
        nonce: str,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],
        held: Mapping[str, Encoded],  # noqa: ARG002  the proxy keeps what is not named
    ) -> bytes:
        resources = ((made.head, made.value) for made in changed.values())
        return wire.delta_response(version, resources, type_url, nonce, sorted(removed))
