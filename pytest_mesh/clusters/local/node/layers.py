"""The mounts of which a container's root is made: private layers over a directory, and binds.

As root of a user namespace too, where the kernel wants more of a mount and allows less.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from pytest_mesh.clusters.local import namespaces as ns
from pytest_mesh.clusters.local import rootless

_STUCK: Final = ((os.ST_NOSUID, ns.MS_NOSUID), (os.ST_NODEV, ns.MS_NODEV), (os.ST_NOEXEC, ns.MS_NOEXEC))
"""Flags of the host's mounts that a user namespace may not take away, as statvfs shows them and as mount takes them."""


def overlay(lower: str, layer: str, target: str) -> None:
    """Mount a writable view of ``lower`` on ``target``, whose changes stay in the new directory ``layer``."""
    upper, work = f"{layer}/upper", f"{layer}/work"
    Path(upper).mkdir(parents=True)
    Path(work).mkdir()
    # The top directory of an overlay shows the upper layer's owner and mode.
    status, inside = Path(lower).stat(), rootless.entered()
    if not inside or status.st_uid != _nobody():
        os.chown(upper, status.st_uid, status.st_gid)
    Path(upper).chmod(stat.S_IMODE(status.st_mode))
    options = f"lowerdir={_escape(lower)},upperdir={_escape(upper)},workdir={_escape(work)},volatile"
    ns.mount("overlay", target, "overlay", options=options + (",userxattr" if inside else ""))


def bind(source: str, target: str, *, read_only: bool) -> None:
    """Show ``source``, with what is mounted in it, at ``target``."""
    ns.mount(source, target, flags=ns.MS_BIND | ns.MS_REC)
    if read_only:
        make_read_only(target)


def make_read_only(target: str) -> None:
    """Make a bind read-only; flags that it has from its source stay, for they may be locked."""
    seen = os.statvfs(target).f_flag
    kept = sum(flag for shown, flag in _STUCK if seen & shown)
    ns.mount("none", target, flags=ns.MS_REMOUNT | ns.MS_BIND | ns.MS_RDONLY | kept)


def own_directory(path: Path, layer: str) -> None:
    """Make a directory, and those above it; where one is the host's own, a layer over it takes what is made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        there = next(parent for parent in path.parents if parent.is_dir())
        number = len(list(Path(layer).iterdir()))
        overlay(str(there), f"{layer}/own{number}", str(there))
        path.mkdir(parents=True, exist_ok=True)


def _nobody() -> int:
    """Give the uid that stands for those that a user namespace does not have."""
    return int(Path("/proc/sys/kernel/overflowuid").read_text())


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
