"""A cluster without root: a user namespace in which this user is root and every uid up to 65535 is there.

Chosen by itself where the caller is not root. It needs newuidmap and newgidmap and a range of subordinate ids; with one
uid only there is no uid 1337 for a sidecar, by which its own traffic is told apart, and so no mesh.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

from pytest_mesh.clusters.local import namespaces as ns

IDS: Final = 65535
"""Subordinate ids that are wanted: with the user's own they make 0 to 65535."""
_HELPERS: Final = {"uid": ("newuidmap", "/etc/subuid"), "gid": ("newgidmap", "/etc/subgid")}
_FORBIDDEN: Final = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
)
"""Settings by which a kernel has no user namespaces for users: name, value, what changes it."""


def wanted() -> bool:
    """Whether a cluster of this process's would be rootless."""
    return os.geteuid() != 0


def entered() -> bool:
    """Whether this process lives in a user namespace that does not have every id."""
    try:
        line = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    return line[:3] != ["0", "0", "4294967295"]


def missing() -> dict[str, str]:
    """Give what a rootless cluster lacks here, each with what mends it; empty = nothing that is quick to see."""
    found = {}
    for name, value, fix in _FORBIDDEN:
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text().strip() == value:
            found[f"user namespaces (kernel setting {name.replace('/', '.')} is {value})"] = f"as root: {fix}"
    for kind, (program, table) in _HELPERS.items():
        if shutil.which(program) is None:
            found[program] = "Debian package uidmap (apt-get install uidmap)"
        elif _range(kind) is None:
            found[f"{IDS} subordinate {kind}s in {table}"] = (
                f"as root: usermod --add-sub{kind}s 100000-165535 {_user()}"
            )
    return found


def enter() -> None:
    """Move this process, which must have one thread, into a user namespace of its own, as its root; raises OSError."""
    lacking = missing()
    if lacking:
        raise OSError("; ".join(f"{what} is missing: {fix}" for what, fix in lacking.items()))
    pid, entered_, enters = os.getpid(), *os.pipe()
    told, tells = os.pipe()
    commands = [_command(kind, pid) for kind in _HELPERS]
    helper = os.fork()
    if helper == 0:
        # Whoever writes the maps stays outside: the programs look at who asks.
        os.close(enters)
        os.read(entered_, 1)
        os.write(tells, _mapped(commands).encode())
        os._exit(0)
    os.close(tells)
    ns.unshare(ns.CLONE_NEWUSER)
    os.close(enters)
    error = b"".join(iter(lambda: os.read(told, 4096), b"")).decode()
    os.waitpid(helper, 0)
    for fd in (entered_, told):
        os.close(fd)
    if error:
        raise OSError(error)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _command(kind: str, pid: int) -> list[str]:
    program, _ = _HELPERS[kind]
    own = os.getuid() if kind == "uid" else os.getgid()
    start = _range(kind)
    return [program, str(pid), "0", str(own), "1", "1", str(start), str(IDS)]


def _mapped(commands: list[list[str]]) -> str:
    for argv in commands:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}"
    return ""


def _range(kind: str) -> int | None:
    """Give where this user's subordinate ids of a kind begin, or None where there are too few."""
    names = {_user(), str(os.getuid())}
    try:
        lines = Path(_HELPERS[kind][1]).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if name in names and start.isdigit() and count.isdigit() and int(count) >= IDS:
            return int(start)
    return None


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
