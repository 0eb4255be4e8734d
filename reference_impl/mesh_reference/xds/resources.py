"""The four resource types that are served, in the order in which they are pushed, and one resource ready for the wire."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2

from mesh_reference.xds.messages import pack

if TYPE_CHECKING:
    from google.protobuf import any_pb2
    from google.protobuf.message import Message

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

PUSH_ORDER = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""Make before break: what is referred to comes before what refers to it."""
SHORT = {CLUSTER: "cds", ENDPOINT: "eds", LISTENER: "lds", ROUTE: "rds"}
WHOLE_STATE = frozenset({CLUSTER, LISTENER})
"""Types of which a state-of-the-world response names every resource: what is left out is removed."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A resource as it goes out. ``version`` is a hash of its bytes: equal bytes, equal version."""

    name: str
    version: str
    body: any_pb2.Any
    needs_endpoints: bool = False
    """A cluster whose endpoints the proxy asks for."""


def encode(name: str, message: Message) -> Encoded:
    """Serialize once; every proxy that gets this resource shares it."""
    body = pack(message)
    needs = isinstance(message, cluster_pb2.Cluster) and message.type == cluster_pb2.Cluster.EDS
    return Encoded(name, hashlib.blake2b(body.value, digest_size=8).hexdigest(), body, needs)
