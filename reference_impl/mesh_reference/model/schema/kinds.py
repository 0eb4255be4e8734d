"""The kinds that this mesh serves, and no others: what is not here is not accepted.

A kind may be checked and stored before the control plane acts on it: then its ``acted_on`` is false.
"""

from __future__ import annotations

from mesh_reference.model.schema.authorization_policy import AUTHORIZATION_POLICY
from mesh_reference.model.schema.destination_rule import DESTINATION_RULE
from mesh_reference.model.schema.gateway import GATEWAY
from mesh_reference.model.schema.peer_authentication import PEER_AUTHENTICATION
from mesh_reference.model.schema.request_authentication import REQUEST_AUTHENTICATION
from mesh_reference.model.schema.service_entry import SERVICE_ENTRY
from mesh_reference.model.schema.sidecar import SIDECAR
from mesh_reference.model.schema.types import Kind
from mesh_reference.model.schema.virtual_service import VIRTUAL_SERVICE
from mesh_reference.model.schema.workload_entry import WORKLOAD_ENTRY

KINDS: tuple[Kind, ...] = (
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    PEER_AUTHENTICATION,
    SERVICE_ENTRY,
    WORKLOAD_ENTRY,
    SIDECAR,
    GATEWAY,
    AUTHORIZATION_POLICY,
    REQUEST_AUTHENTICATION,
)
GROUPS: tuple[str, ...] = tuple(sorted({kind.group for kind in KINDS}))

_BY_GROUP_KIND = {(kind.group, kind.kind): kind for kind in KINDS}


def find(group: str, kind: str) -> Kind | None:
    """The kind of that group and name, or None."""
    return _BY_GROUP_KIND.get((group, kind))
