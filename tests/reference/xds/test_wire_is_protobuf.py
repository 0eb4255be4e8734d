"""What is strung together by hand is what protobuf would write."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import Metadata
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.xds import wire
from mesh_reference.xds.resources import encode_bytes

TYPE = "type.googleapis.com/envoy.config.core.v3.Metadata"
NAMES = st.text(min_size=1, max_size=300)
VALUES = st.binary(max_size=400).map(lambda data: Metadata(filter_metadata={data.hex(): {}}).SerializeToString())


@given(
    st.lists(st.tuples(NAMES, st.one_of(VALUES, st.just(b""))), max_size=4), NAMES, NAMES, st.lists(NAMES, max_size=3)
)
def test_responses_are_read_as_they_were_meant(
    found: list[tuple[str, bytes]], version: str, nonce: str, removed: list[str]
) -> None:
    made = [encode_bytes(name, TYPE, value) for name, value in found]
    delta = discovery_pb2.DeltaDiscoveryResponse.FromString(
        wire.delta_response(version, ((one.head, one.value) for one in made), TYPE, nonce, removed)
    )
    assert delta == discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=version, type_url=TYPE, nonce=nonce, removed_resources=removed,
        resources=[
            discovery_pb2.Resource(name=one.name, version=one.version, resource=any_pb2.Any(type_url=TYPE, value=one.value))
            for one in made
        ],
    )  # fmt: skip
    state = discovery_pb2.DiscoveryResponse.FromString(
        wire.state_response(version, (one.value for one in made), TYPE, nonce)
    )
    assert state == discovery_pb2.DiscoveryResponse(
        version_info=version, type_url=TYPE, nonce=nonce, resources=[one.body for one in made]
    )
