"""What the API server is made of. HTTP details are in ``serving`` and the handlers' own modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mesh.clusters.local.apiserver.admission import Admission
    from pytest_mesh.clusters.local.apiserver.authentication import Authenticator
    from pytest_mesh.clusters.local.apiserver.registry import Registry
    from pytest_mesh.clusters.local.apiserver.rights import Authorizer
    from pytest_mesh.clusters.local.apiserver.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The parts that every handler reaches."""

    run_dir: Path
    node_address: str
    store: Store
    registry: Registry
    authenticator: Authenticator
    admission: Admission
    authorizer: Authorizer
