"""What the spawner is told: plain data that crosses the socket between node and spawner.

No I/O and no system call; paths are the node's own, inside its mount namespace.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# fmt: off
DEFAULT_CAPABILITIES = frozenset({
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
})
# fmt: on
"""What a container's root holds unless its securityContext says otherwise; containerd's set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom a process runs. ``gid`` None = the uid's group in the container's /etc/passwd, else 0."""

    uid: int = 0
    gid: int | None = None
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = tuple(sorted(DEFAULT_CAPABILITIES))
    """Names without ``CAP_``; only uid 0 holds them in effect."""
    no_new_privileges: bool = False

    def shown(self) -> dict[str, object]:
        """Give it as a Pod's status has it; empty where the group is only known in the container."""
        gid = 0 if self.gid is None and self.uid == 0 else self.gid
        if gid is None:
            return {}
        return {"uid": self.uid, "gid": gid, "supplementalGroups": sorted({gid, *self.groups})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One directory or file of the node at a path of the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """One container, ready to be made."""

    layer: str
    """Empty directory on the node's tmpfs: the writable layer."""
    root: str = "/"
    readable: tuple[str, ...] = ()
    """Paths whose ancestors every uid may traverse (see ``contracts.Image``)."""
    hidden: tuple[str, ...] = ()
    """Paths of the node that must not be seen."""
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Generated files: absolute path -> text (/etc/hosts and its like)."""
    read_only_root: bool = False
    privileged: bool = False
    """Leaves /proc/sys and /sys writable."""
    identity: Identity = field(default_factory=Identity)
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    tty: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the wire form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Blueprint:
        """Read what :meth:`to_json` gave."""
        known = dict(data)
        known["identity"] = identity_from(known["identity"])
        known["mounts"] = tuple(Mount(**mount) for mount in known["mounts"])
        for name in ("readable", "hidden", "argv"):
            known[name] = tuple(known[name])
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One more process in a running container."""

    argv: tuple[str, ...]
    identity: Identity = field(default_factory=Identity)
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    tty: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the wire form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Command:
        """Read what :meth:`to_json` gave."""
        return cls(**{**data, "identity": identity_from(data["identity"]), "argv": tuple(data["argv"])})


def identity_from(data: dict[str, Any]) -> Identity:
    """Read an Identity's wire form."""
    return Identity(**{**data, "groups": tuple(data["groups"]), "capabilities": tuple(data["capabilities"])})
