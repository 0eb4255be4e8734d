"""What runs that were killed left on somebody's cluster: which namespaces are theirs, and what becomes of each.

``judge`` is pure. Only namespaces with this plugin's label that the same account
made are looked at; a run that may live, and what was kept on purpose, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pytest_mesh.contracts import Json
from pytest_mesh.lifetime import OWNER_LABEL, RUN_LABEL
from pytest_mesh.liveness import Process

BY: Final = "pytest-mesh.dev/by"
"""Annotation: the account that made the namespace."""
PROCESS: Final = "pytest-mesh.dev/process"
"""Annotation: the run's first process."""
KEPT: Final = "pytest-mesh.dev/kept"
"""Annotation of the Lease of a namespace that outlives its run on purpose."""
LEASE: Final = "pytest-mesh"
"""Lease in each namespace that its run renews."""
RENEWAL_SECONDS: Final = 20.0
EXPIRY: Final = timedelta(minutes=10)
"""A lease that nobody renewed for so long is a dead run's, whatever the clocks of two machines are apart."""

Fate = Literal["mine", "foreign", "kept", "live", "dead", "going"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """The run that looks."""

    run: str
    by: str


def judge(namespace: Json, lease: Json | None, me: Who, *, now: datetime) -> Fate:
    """Say what a namespace with this plugin's label is to the run ``me``.

    ``dead`` is the one fate after which it may be removed.
    """
    metadata = namespace["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if not me.by or labels.get(OWNER_LABEL) != "true" or notes.get(BY) != me.by or not labels.get(RUN_LABEL):
        return "foreign"
    if labels[RUN_LABEL] == me.run:
        return "mine"
    if metadata.get("deletionTimestamp"):
        return "going"
    if is_kept(lease):
        return "kept"
    process = Process.parse(notes.get(PROCESS, ""))
    if process is not None and process.here:
        return "live" if process.running else "dead"
    renewed = ((lease or {}).get("spec") or {}).get("renewTime") or metadata.get("creationTimestamp", "")
    seen = _time(renewed)
    return "dead" if seen is not None and now - seen > EXPIRY else "live"


def is_kept(lease: Json | None) -> bool:
    """Whether a namespace's Lease says that it is kept on purpose."""
    return bool(((lease or {}).get("metadata", {}).get("annotations") or {}).get(KEPT))


def lease(run: str, *, now: datetime, kept: bool = False) -> Json:
    """Give the Lease of a namespace of a run."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE, "annotations": {KEPT: "true"} if kept else {}},
        "spec": {
            "holderIdentity": run,
            "leaseDurationSeconds": int(EXPIRY.total_seconds()),
            "renewTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


def told(dead: Sequence[Json]) -> list[str]:
    """Say in one line for each run what it left."""
    runs: dict[str, list[str]] = {}
    for one in dead:
        runs.setdefault(one["metadata"]["labels"][RUN_LABEL], []).append(one["metadata"]["name"])
    return [
        f"cluster: run {run} ended without cleaning up: removing its namespaces {', '.join(sorted(names))}"
        for run, names in sorted(runs.items())
    ]


def dead(namespaces: Sequence[Json], lease_of: Callable[[str], Json | None], me: Who, *, now: datetime) -> list[Json]:
    """Give the namespaces that dead runs of the same account left; asks for no lease that decides nothing."""
    found = []
    for one in namespaces:
        if judge(one, None, me, now=now) in {"foreign", "mine", "going"}:
            continue
        if judge(one, lease_of(one["metadata"]["name"]), me, now=now) == "dead":
            found.append(one)
    return found


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
