"""The resource types that are served, in the order in which they are pushed, and one resource ready for the wire."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from google.protobuf import any_pb2

from mesh_reference import name_table
from mesh_reference.xds import wire

if TYPE_CHECKING:
    from google.protobuf.message import Message

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
VIRTUAL_HOST = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
"""Delta only: the hosts of a route configuration one by one, by the name ``<route configuration>/<virtual host>``."""

NAME_TABLE = name_table.TYPE_URL
"""Of agents that answer names: one resource without a name."""
NAMELESS = ("",)

PUSH_ORDER = (CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST, NAME_TABLE)
"""Make before break: what is referred to comes before what refers to it."""
SHORT = {CLUSTER: "cds", ENDPOINT: "eds", LISTENER: "lds", ROUTE: "rds", VIRTUAL_HOST: "vhds", NAME_TABLE: "nds"}
WHOLE_STATE = frozenset({CLUSTER, LISTENER})
"""Types of which a state-of-the-world response names every resource: what is left out is removed."""
WILDCARD_TYPES = WHOLE_STATE | {VIRTUAL_HOST, NAME_TABLE}
"""Types of which a first request without names asks for everything."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A resource as it goes out. ``version`` is a hash of its bytes: equal bytes, equal version."""

    name: str
    version: str
    type_url: str
    value: bytes
    needs_endpoints: bool = False
    """A cluster whose endpoints the proxy asks for."""
    head: bytes = field(default=b"", repr=False)
    """The delta ``Resource`` up to ``value``."""

    @property
    def body(self) -> any_pb2.Any:
        """The resource as Any."""
        return any_pb2.Any(type_url=self.type_url, value=self.value)


def encode(name: str, message: Message) -> Encoded:
    """Serialize once; every proxy that gets this resource shares it."""
    needs = isinstance(message, cluster_pb2.Cluster) and message.type == cluster_pb2.Cluster.EDS
    type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    return encode_bytes(name, type_url, message.SerializeToString(deterministic=True), needs_endpoints=needs)


def encode_bytes(name: str, type_url: str, value: bytes, *, needs_endpoints: bool = False) -> Encoded:
    """The same for a message that is serialized."""
    version = hashlib.blake2b(value, digest_size=8).hexdigest()
    head = wire.resource_head(name, version, type_url, len(value))
    return Encoded(name, version, type_url, value, needs_endpoints, head)
