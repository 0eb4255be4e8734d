"""A container's root in a user namespace: a layer for each directory, for one over the whole of ``/`` is refused there.

The kernel clones no tree of which a mount might be taken away that its owner put there. So what has mounts below it is
made anew, entry by entry, and what has none gets a layer of its own. Kernel file systems are left to ``roots``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local import namespaces as ns
from pytest_mesh.clusters.local.node.layers import bind, overlay

if TYPE_CHECKING:
    from collections.abc import Sequence


def lay(lower: str, layer: str, target: str, mounted: Sequence[str]) -> None:
    """Mount on ``target`` a writable view of ``lower``; of the mounts below it the ``mounted`` ones are shown."""
    points = frozenset(_points(Path("/proc/self/mountinfo").read_text()))
    ns.mount(target, target, flags=ns.MS_BIND)
    _Work(layer, points, frozenset(mounted)).fill(Path(lower), Path(target))


def _points(mountinfo: str) -> list[str]:
    return [line.split()[4].encode().decode("unicode_escape") for line in mountinfo.splitlines()]


class _Work:
    def __init__(self, layer: str, points: frozenset[str], shown: frozenset[str]) -> None:
        self._layer = layer
        self._points = points
        self._shown = shown
        self._number = 0

    def fill(self, lower: Path, target: Path) -> None:
        """Make the entries of a directory that cannot be a layer."""
        try:
            entries = sorted(os.scandir(lower), key=lambda entry: entry.name)
        except PermissionError:
            return
        for entry in entries:
            path, place = Path(entry.path), target / entry.name
            with contextlib.suppress(FileNotFoundError):  # the host has taken it away since
                if entry.is_symlink():
                    place.symlink_to(path.readlink())
                elif entry.is_dir():
                    place.mkdir()
                    self._directory(path, place)
                elif entry.is_file() and (str(path) not in self._points or str(path) in self._shown):
                    place.touch()
                    bind(str(path), str(place), read_only=True)

    def _directory(self, path: Path, place: Path) -> None:
        if str(path) in self._points and str(path) not in self._shown:
            return
        if any(point.startswith(f"{path}/") for point in self._points):
            place.chmod(path.stat().st_mode & 0o7777)
            self.fill(path, place)
            return
        self._number += 1
        overlay(str(path), f"{self._layer}/{self._number}", str(place))
