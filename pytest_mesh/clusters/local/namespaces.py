"""The kernel calls that Python 3.11 lacks: unshare, setns, mount, pivot_root, prctl, capset.

The only module that uses ctypes. Each function is one system call and raises
OSError with the call's name; what they are put together for is decided
elsewhere (``node.init``, ``node.spawner``, ``node.containers``).
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MS_SLAVE: Final = 0x80000

MNT_DETACH: Final = 2

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}

# fmt: off
CAPABILITIES: Final = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)
"""Names without ``CAP_``, by number."""
# fmt: on

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, result: int, what: str = "") -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}{' ' + what if what else ''}: {os.strerror(error)}")
    return result


def unshare(flags: int) -> None:
    """Move this process (its children, for CLONE_NEWPID) into new namespaces."""
    _call("unshare", _libc.unshare(ctypes.c_int(flags)), hex(flags))


def setns(fd: int, kind: int) -> None:
    """Join the namespace behind ``fd``; ``kind`` is its CLONE_NEW… flag (several with a pidfd)."""
    _call("setns", _libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), hex(kind))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Make a mount; empty ``kind`` and ``options`` are NULL."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _call("mount", result, f"{kind or source} on {target}")


def umount(target: str, flags: int = 0) -> None:
    """Take a mount away."""
    _call("umount", _libc.umount2(target.encode(), ctypes.c_int(flags)), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` (a mount point) this mount namespace's root; the old one appears at ``put_old``."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root: machine {os.uname().machine} is unknown (known: {', '.join(_SYS_PIVOT_ROOT)})")
    result = _libc.syscall(ctypes.c_long(number), new_root.encode(), put_old.encode())
    _call("pivot_root", result, new_root)


def die_with_parent(number: int) -> None:
    """Have the kernel send signal ``number`` to this process when its parent thread ends."""
    _call("prctl", _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0), "PR_SET_PDEATHSIG")


def no_new_privileges() -> None:
    """Make set-uid bits and file capabilities void from here on."""
    _call("prctl", _libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def bounded_capabilities() -> frozenset[str]:
    """Give the names in this process's bounding set."""
    return frozenset(
        name
        for number, name in enumerate(CAPABILITIES)
        if _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) == 1
    )


def limit_capabilities(keep: Iterable[str]) -> None:
    """Drop everything but ``keep`` from the bounding set and empty the ambient and inheritable sets.

    What a root process then holds after its next exec is exactly ``keep``
    (as far as it was held before), and what any other uid holds is nothing.
    """
    kept = frozenset(keep)
    for number, name in enumerate(CAPABILITIES):
        if name not in kept and _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) == 1:
            _call("prctl", _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0), f"PR_CAPBSET_DROP {name}")
    _libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: low words, then high words
    _call("capget", _libc.capget(header, sets))
    sets[2] = sets[5] = 0
    _call("capset", _libc.capset(header, sets))
