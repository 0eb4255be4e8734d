"""Small protobuf values that every generator needs: durations, percentages, Any, addresses, metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2, struct_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from mesh_reference.model.metadata import Metadata

NO_TIMEOUT = duration_pb2.Duration()


def pack(message: Message) -> any_pb2.Any:
    """The message as Any, serialized the same way each time."""
    return any_pb2.Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        value=message.SerializeToString(deterministic=True),
    )


def seconds(value: float) -> duration_pb2.Duration:
    """A Duration, to the nanosecond."""
    total = round(value * 1e9)
    return duration_pb2.Duration(seconds=total // 10**9, nanos=total % 10**9)


def maybe_seconds(value: float | None) -> duration_pb2.Duration | None:
    """A Duration, or nothing for an unset field."""
    return None if value is None else seconds(value)


def fraction(percent: float) -> percent_pb2.FractionalPercent:
    """0..100 as millionths, cut off as Istio does."""
    return percent_pb2.FractionalPercent(
        numerator=int(round(percent * 10000, 6)), denominator=percent_pb2.FractionalPercent.MILLION
    )


def runtime_fraction(percent: float) -> base_pb2.RuntimeFractionalPercent:
    """The same where Envoy would let a runtime key override it."""
    return base_pb2.RuntimeFractionalPercent(default_value=fraction(percent))


def socket_address(address: str, port: int) -> address_pb2.Address:
    """One TCP address."""
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))


def ads_source() -> config_source_pb2.ConfigSource:
    """The very stream that asks; a proxy waits for it as long as it takes."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        initial_fetch_timeout=NO_TIMEOUT,
        resource_api_version=config_source_pb2.ApiVersion.V3,
    )


def istio_metadata(**fields: Any) -> base_pb2.Metadata:
    """``filter_metadata.istio`` with these fields: what istioctl reads from a config dump."""
    struct = struct_pb2.Struct()
    struct.update(fields)
    return base_pb2.Metadata(filter_metadata={"istio": struct})


def config_path(kind: str, meta: Metadata) -> str:
    """Where a resource is found: the ``config`` field of Istio's metadata. ``kind`` is ``virtual-service`` or the like."""
    return f"/apis/networking.istio.io/v1/namespaces/{meta.namespace}/{kind}/{meta.name}"
