"""The two wire forms of ADS, state of the world and delta: how a response is put together. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from envoy.service.discovery.v3 import discovery_pb2

from mesh_reference.xds.resources import WHOLE_STATE

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

    def receive(self, subscription: Subscription, request: Any) -> Asked | None:
        """Take the request into the subscription; say what is to be answered."""
        ...

    def response(
        self,
        type_url: str,
        version: str,
        nonce: str,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],
        held: Mapping[str, Encoded],
    ) -> Any:
        """``changed`` and ``removed`` since the last response; ``held`` is all that the proxy shall hold afterwards."""
        ...


class StateOfTheWorld:
    """StreamAggregatedResources: clusters and listeners always whole, endpoints and routes as far as they changed."""

    method = "StreamAggregatedResources"
    request_type = discovery_pb2.DiscoveryRequest

    def receive(self, subscription: Subscription, request: discovery_pb2.DiscoveryRequest) -> Asked | None:
        return subscription.receive_state(request, whole=request.type_url in WHOLE_STATE)

    def response(
        self,
        type_url: str,
        version: str,
        nonce: str,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],  # noqa: ARG002  told by what is left out
        held: Mapping[str, Encoded],
    ) -> discovery_pb2.DiscoveryResponse:
        told = held if type_url in WHOLE_STATE else changed
        return discovery_pb2.DiscoveryResponse(
            type_url=type_url,
            version_info=version,
            nonce=nonce,
            resources=[made.body for made in told.values()],
        )


class Delta:
    """DeltaAggregatedResources: what changed, and the names of what is gone."""

    method = "DeltaAggregatedResources"
    request_type = discovery_pb2.DeltaDiscoveryRequest

    def receive(self, subscription: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> Asked | None:
        return subscription.receive_delta(request, whole=request.type_url in WHOLE_STATE)

    def response(
        self,
        type_url: str,
        version: str,
        nonce: str,
        changed: Mapping[str, Encoded],
        removed: Iterable[str],
        held: Mapping[str, Encoded],  # noqa: ARG002  the proxy keeps what is not named
    ) -> discovery_pb2.DeltaDiscoveryResponse:
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=type_url,
            system_version_info=version,
            nonce=nonce,
            resources=[
                discovery_pb2.Resource(name=made.name, version=made.version, resource=made.body)
                for made in changed.values()
            ],
            removed_resources=sorted(removed),
        )
