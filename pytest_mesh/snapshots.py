"""The cluster as a test file found it: a snapshot, and the way back to it, where the backend has one.

What processes did inside pods that stay, and what lies outside the API, is not undone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_mesh.contracts import Cluster, Implementation, KeepsSnapshots, Restored
from pytest_mesh.failures import Infrastructure, hidden
from pytest_mesh.implementations import presence
from pytest_mesh.kube import Kube

__tracebackhide__ = hidden

FINALIZER_SECONDS = 10.0
"""Time for controllers to take their finalizers from what goes."""


class MeshState:
    """What the fixture ``mesh_state`` gives."""

    def __init__(self, cluster: KeepsSnapshots, snapshot: str, settle: Callable[[], None]) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._settle = settle

    def restore(self, *, seconds: float = FINALIZER_SECONDS) -> Restored:
        """Go back to where the file began, and give what that took; returns when the mesh's control plane is Ready.

        ``seconds`` is the time for finalizers; what one holds still is taken out all the same, with a warning.
        Raises ``Infrastructure``.
        """
        try:
            done = self._cluster.restore(self._snapshot, seconds=seconds)
        except Exception as error:  # a backend's own, whatever it is called
            raise Infrastructure(f"mesh_state: the cluster's state could not be restored: {error}") from error
        if done.forced:
            held = ", ".join(done.forced)
            warnings.warn(
                f"mesh_state: a finalizer held for {seconds:g} s, taken out all the same: {held}", stacklevel=2
            )
        self._settle()
        return done


@contextmanager
def kept_state(
    cluster: Cluster, kube: Kube, implementation: Implementation, *, sharers: int, keep: Callable[[], bool]
) -> Iterator[MeshState]:
    """Keep the cluster's state for the time of the block, and go back to it at its end unless ``keep()``.

    ``sharers`` is how many workers use this cluster. Raises ``Infrastructure`` where that cannot be.
    """
    if not isinstance(cluster, KeepsSnapshots):
        raise Infrastructure(
            f"mesh_state: --mesh-cluster={cluster.backend} keeps no snapshots; --mesh-cluster=local does"
        )
    if sharers > 1:
        raise Infrastructure(
            f"mesh_state: {sharers} workers share the cluster, and going back would take away what the others' tests "
            "made: --mesh-cluster-per-worker gives each its own; without it: run without -n"
        )
    snapshot = cluster.snapshot()
    state = MeshState(cluster, snapshot, lambda: presence.require_control_plane(kube, implementation))
    try:
        yield state
        if not keep():
            state.restore()
    finally:
        cluster.forget(snapshot)
