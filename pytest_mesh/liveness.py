"""Whether the process that left something on a cluster is still there: its machine, its pid, when it started.

What was left from another machine it cannot judge; for that there are leases.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, for as long as the machine is up; its text form stands in annotations."""

    host: str
    """Boot id and pid namespace; empty where the machine does not tell."""
    pid: int
    started: int
    """Ticks since boot; 0 = not known."""

    @classmethod
    def of(cls, pid: int) -> Process:
        """Describe a running process of this machine."""
        return cls(host=_host(), pid=pid, started=start_time(pid) or 0)

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Read what ``str()`` wrote; None for anything else."""
        host, _, rest = text.partition(" ")
        pid, _, started = rest.partition(" ")
        if not (host and pid.isdecimal() and started.isdecimal()):
            return None
        return cls(host=host, pid=int(pid), started=int(started))

    def __str__(self) -> str:
        return f"{self.host or 'unknown'} {self.pid} {self.started}"

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine, so that ``running`` can tell."""
        return bool(self.host) and self.started > 0 and self.host == _host()

    @property
    def running(self) -> bool:
        """Whether it runs, for a process of this machine."""
        return start_time(self.pid) == self.started


def _host() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - not the link itself
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """Give when a live process started, in ticks since boot; None when there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
