"""``MeshSettings``: what one test may want otherwise. Plain data; the run's own options are in ``options``."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_mesh.traffic.statistics import ALPHA, BETA


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """Override the fixture ``mesh_settings`` and ``replace`` the field to change one thing."""

    svid_ttl: str = ""
    """Time to live asked for the workloads' certificates (``30s``); empty = the mesh's own."""
    split_delta: float = 5.0
    """Percentage points by which a share may be wrong before ``assert_split`` must find it."""
    alpha: float = ALPHA
    beta: float = BETA
    split_cap: int = 0
    """Requests after which an undecided split is inconclusive; 0 = 20 times what a right mesh needs in the mean."""
    seed: int = 0
    """Seed of whatever the run generates; in the report."""
    convergence_seconds: float | None = None
    """Budget of the epoch gate; None = what the implementation's file declares."""
    settle_seconds: float = 1.0
    """How long proxies are observed where nothing tells that they have converged."""
    ready_seconds: float = 60.0
    """Budget for pods to become Ready; a pod that cannot start fails at once, whatever this says."""
    mark_routes: bool = False
    """Whether ``apply`` adds the epoch's response header to the routes of VirtualServices, and the revision's label.

    For a suite's own documents only: a user's document is applied as it is.
    """
    connections: int = 16
    """Requests in flight at once while a split is drawn."""
