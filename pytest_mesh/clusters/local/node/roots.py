"""A container's root file system, built by the container's own first process.

An overlay of the image's root with a private layer on the node's tmpfs, then
/proc, /dev, /sys, fresh /tmp and /run, volumes and generated files, then
pivot_root. Nothing here touches the host: every mount is made in the mount
namespace that :func:`build` opens. It decides no policy; the Blueprint does.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mesh.clusters.local import namespaces as ns
from pytest_mesh.clusters.local import rootless
from pytest_mesh.clusters.local.node import patchwork
from pytest_mesh.clusters.local.node.layers import bind, make_read_only, overlay, own_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mesh.clusters.local.node.blueprints import Blueprint, Mount

_OLD: Final = "/.node"
_FRESH: Final = ("/tmp", "/run")  # noqa: S108  # the container's own, not a place for our files
"""Of the host's own root these hold sockets, secrets and other people's files."""
_OWN_FILE_SYSTEMS: Final = ("/proc", "/sys", "/dev", *_FRESH)
_ENGINES: Final = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet")
"""Where container engines mount the roots of other containers, which come and go."""
# fmt: off
_PSEUDO: Final = frozenset({
    "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "debugfs", "tracefs", "securityfs",
    "pstore", "bpf", "configfs", "fusectl", "hugetlbfs", "binfmt_misc", "efivarfs", "autofs", "rpc_pipefs",
    "nsfs", "selinuxfs", "ramfs",
})
# fmt: on
_DEVICES: Final = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_READ_ONLY_PROC: Final = ("sys", "sysrq-trigger", "irq", "bus")
_MASKED_PROC: Final = ("kcore", "keys", "timer_list")


def submounts(mountinfo: str, root: str = "/") -> list[str]:
    """Give the mount points of real file systems below ``root``, outermost first, from /proc/self/mountinfo's text.

    Left out: kernel file systems, what lies below /proc, /sys, /dev, /tmp or
    /run or in a container engine's store, and what a later mount covers.
    """
    points: dict[str, None] = {}
    prefix = root.rstrip("/") + "/"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        if not point.startswith(prefix) or point == prefix:
            continue
        for covered in [known for known in points if (known + "/").startswith(point + "/")]:
            del points[covered]
        inside = "/" + point[len(prefix) :]
        own = any((inside + "/").startswith(path + "/") for path in (*_OWN_FILE_SYSTEMS, *_ENGINES))
        if not own and after.split()[0] not in _PSEUDO:
            points[point] = None
    return sorted(points, key=lambda point: point.count("/"))


def build(blueprint: Blueprint, mounted: Sequence[str]) -> None:
    """Give this process a mount namespace of its own with the Blueprint's root.

    ``mounted`` are the root's submounts. Raises OSError, whose text names the
    call and the path.
    """
    ns.unshare(ns.CLONE_NEWNS)
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    root = f"{blueprint.layer}/root"
    Path(root).mkdir(parents=True)
    if rootless.entered():
        patchwork.lay(blueprint.root, blueprint.layer, root, mounted)
        mounted = ()
    else:
        overlay(blueprint.root, f"{blueprint.layer}/0", root)
    for number, point in enumerate(mounted, start=1):
        inside = root + "/" + os.path.relpath(point, blueprint.root)
        with contextlib.suppress(FileNotFoundError):  # the host has unmounted it since
            if Path(point).is_dir():
                overlay(point, f"{blueprint.layer}/{number}", inside)
            else:
                bind(point, inside, read_only=True)
    os.chdir(root)
    Path(root + _OLD).mkdir(mode=0o700)
    ns.pivot_root(".", "." + _OLD)
    os.chdir("/")
    _mount_kernel_file_systems(writable=blueprint.privileged)
    fresh = _FRESH if blueprint.root == "/" else ()
    for path in fresh:
        _fresh_directory(path)
    _reveal(blueprint.readable, fresh, blueprint.root)
    for path in blueprint.hidden:
        _hide(path, blueprint.root)
    _write_files(blueprint)
    layer = _OLD + blueprint.layer
    own_directory(Path(blueprint.directory), layer)
    _mount_volumes(layer, sorted(blueprint.mounts, key=lambda each: each.target.count("/")))
    # An emptyDir at /tmp would cover an interpreter that lies below the host's /tmp.
    covering = [one.target for one in blueprint.mounts if not one.read_only]
    covered = [path for path in blueprint.readable if any(Path(path).is_relative_to(target) for target in covering)]
    _reveal(covered, covering, blueprint.root)
    ns.umount(_OLD, ns.MNT_DETACH)
    Path(_OLD).rmdir()
    if blueprint.read_only_root:
        volumes = {volume.target for volume in blueprint.mounts}
        for path in {"/", *fresh} - volumes:
            make_read_only(path)


def _mount_kernel_file_systems(*, writable: bool) -> None:
    guarded = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC
    for path in ("/proc", "/sys", "/dev"):
        Path(path).mkdir(exist_ok=True)
    ns.mount("proc", "/proc", "proc", guarded)
    ns.mount("sysfs", "/sys", "sysfs", guarded | (0 if writable else ns.MS_RDONLY))
    ns.mount("tmpfs", "/dev", "tmpfs", ns.MS_NOSUID, "mode=755,size=64k")
    for name, (major, minor) in _DEVICES.items():
        try:
            os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
            Path(f"/dev/{name}").chmod(0o666)
        except PermissionError:  # no CAP_MKNOD, or a device control group forbids it
            Path(f"/dev/{name}").touch()
            ns.mount(f"{_OLD}/dev/{name}", f"/dev/{name}", flags=ns.MS_BIND)
    for name in ("pts", "shm"):
        Path(f"/dev/{name}").mkdir()
    ns.mount("devpts", "/dev/pts", "devpts", ns.MS_NOSUID | ns.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    ns.mount("tmpfs", "/dev/shm", "tmpfs", guarded, "mode=1777")  # noqa: S108  # the container's own
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }.items():
        Path(f"/dev/{name}").symlink_to(target)
    if writable:
        return
    for name in _READ_ONLY_PROC:
        if Path(f"/proc/{name}").exists():
            bind(f"/proc/{name}", f"/proc/{name}", read_only=True)
    for name in _MASKED_PROC:
        if Path(f"/proc/{name}").exists():
            ns.mount("/dev/null", f"/proc/{name}", flags=ns.MS_BIND)


def _fresh_directory(path: str) -> None:
    Path(path).mkdir(exist_ok=True)
    ns.mount("tmpfs", path, "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=1777" if path == _FRESH[0] else "mode=755")
    if path != _FRESH[0]:
        Path(path, "lock").mkdir(mode=0o1777)


def _reveal(readable: Sequence[str], fresh: Sequence[str], root: str) -> None:
    for path in readable:
        place = Path(path)
        bound = any(place.is_relative_to(directory) for directory in fresh)
        if bound:
            source = Path(_OLD + root) / path.lstrip("/")
            if not source.exists():
                continue
            _make_place(source, place, _OLD)
            bind(str(source), path, read_only=True)
        # What is bound is the host's own, whose modes stay as they are.
        for ancestor in (*place.parents, *(() if bound else (place,))):
            if ancestor.is_dir():
                mode = stat.S_IMODE(ancestor.stat().st_mode)
                wanted = mode | (0o055 if ancestor == place else 0o011)  # the group may be the owner's
                if mode != wanted:
                    ancestor.chmod(wanted)


def _hide(path: str, root: str) -> None:
    if not Path(path).is_relative_to(root):
        return
    inside = Path("/") / Path(path).relative_to(root)
    if inside.is_dir():
        ns.mount("tmpfs", str(inside), "tmpfs", ns.MS_RDONLY | ns.MS_NOSUID | ns.MS_NODEV, "mode=0,size=4k")


def _write_files(blueprint: Blueprint) -> None:
    for name, text in blueprint.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)


def _mount_volumes(layer: str, volumes: Sequence[Mount]) -> None:
    """Mount the volumes, outer ones first; read-only comes last, for an inner one's place is made in the outer one."""
    for volume in volumes:
        source = Path(_OLD + volume.source)
        _make_place(source, Path(volume.target), layer)
        bind(str(source), volume.target, read_only=False)
    for volume in volumes:
        if volume.read_only:
            make_read_only(volume.target)


def _make_place(source: Path, place: Path, layer: str) -> None:
    if source.is_dir():
        own_directory(place, layer)
    elif not place.exists():
        own_directory(place.parent, layer)
        place.touch()
