"""What all Pods of the node share: its clients, its places and its facts. Plain wiring, no behaviour."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.clusters.local.network.pods import Addresses
    from pytest_mesh.clusters.local.node.probes import Prober
    from pytest_mesh.clusters.local.node.runtime import Runtime
    from pytest_mesh.contracts import Json

NODE_NAME: Final = "mesh-node"


@dataclass(slots=True, kw_only=True)
class Parts:
    """Handed to every pod worker."""

    client: ApiClient
    runtime: Runtime
    prober: Prober
    events: EventRecorder
    addresses: Addresses
    directory: Path
    """The cluster's run directory: image table and logs; hidden from pods."""
    scratch: Path
    """The node's tmpfs: layers and volumes."""
    capabilities: frozenset[str]
    allocatable: Mapping[str, str]
    services: dict[tuple[str, str], Json] = field(default_factory=dict)
    """(namespace, name) -> Service, as watched."""


def now() -> str:
    """Give the time as the API writes it: RFC 3339, seconds, UTC."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
