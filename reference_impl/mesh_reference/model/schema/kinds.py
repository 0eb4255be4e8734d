"""The kinds that this mesh serves, and no others: what is not here is not accepted.

A kind enters the table when the control plane acts on it.
"""

from __future__ import annotations

from mesh_reference.model.schema.destination_rule import DESTINATION_RULE
from mesh_reference.model.schema.peer_authentication import PEER_AUTHENTICATION
from mesh_reference.model.schema.types import Kind
from mesh_reference.model.schema.virtual_service import VIRTUAL_SERVICE

KINDS: tuple[Kind, ...] = (VIRTUAL_SERVICE, DESTINATION_RULE, PEER_AUTHENTICATION)
GROUPS: tuple[str, ...] = tuple(sorted({kind.group for kind in KINDS}))

_BY_GROUP_KIND = {(kind.group, kind.kind): kind for kind in KINDS}


def find(group: str, kind: str) -> Kind | None:
    """The kind of that group and name, or None."""
    return _BY_GROUP_KIND.get((group, kind))
