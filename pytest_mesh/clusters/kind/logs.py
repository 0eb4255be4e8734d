"""Saves what ``kind export logs`` gives, without what nobody reads.

The journal in its binary form and second copies are left out, and of a long log the end is kept:
what is saved is searched for secrets afterwards, and a job's artefacts are small.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from pytest_mesh.clusters.kind.programs import output

KEPT_BYTES: Final = 512 * 1024
"""Of each log, from its end."""
_SECONDS: Final = 120.0
_UNREAD: Final = frozenset({"journal", "containers", "wtmp", "btmp", "lastlog", "faillog", "alternatives.log"})
"""Names below a node's directory: binary files, and ``containers``, whose logs are in ``pods`` too."""


def export(cluster: str, directory: Path) -> None:
    """Write the logs of a cluster's nodes and pods below ``directory``; raises KindError and OSError."""
    with tempfile.TemporaryDirectory(prefix="pytest-mesh-kind-") as place:
        output("kind", "export", "logs", place, "--name", cluster, seconds=_SECONDS)
        copy(Path(place), directory)


def copy(source: Path, directory: Path) -> None:
    """Copy an export: only what is read, of each file the end, for the owner only."""
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if not path.is_file() or _UNREAD & set(inside.parts[1:]):
            continue
        target = directory / inside
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.touch(mode=0o600)
        size = path.stat().st_size
        with path.open("rb") as log, target.open("wb") as kept:
            if size > KEPT_BYTES:
                log.seek(size - KEPT_BYTES)
                log.readline()
            shutil.copyfileobj(log, kept)
