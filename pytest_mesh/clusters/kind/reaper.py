"""Removes a kind cluster when the run that it belongs to ends without doing so (kill -9, a closed terminal).

Run as a process of its own: ``python -m pytest_mesh.clusters.kind.reaper NAME PIDFD``.
It starts nothing and ends on SIGTERM, which a run that removes its cluster itself sends.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from pytest_mesh.clusters.kind import state
from pytest_mesh.clusters.kind.programs import DELETE_SECONDS, KindError, end_group, output
from pytest_mesh.liveness import start_time

_END_SECONDS: Final = 10.0


def start(name: str, pid: int) -> tuple[int, int]:
    """Watch over process ``pid`` on behalf of cluster ``name``; give the reaper's pid and start time."""
    pidfd = os.pidfd_open(pid)
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest_mesh.clusters.kind.reaper", name, str(pidfd)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[pidfd],
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(pidfd)
    _children[child.pid] = child
    return child.pid, start_time(child.pid) or 0


_children: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""Reapers that this process started, by pid: a child must be waited for."""


def stop(pid: int, started: int) -> None:
    """End a reaper; does nothing where it is gone."""
    child = _children.pop(pid, None)
    if pid and start_time(pid) == started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 15)
    if child is not None:
        child.wait()


def main(name: str, pidfd: int) -> int:
    """Wait for the end of the run, then remove what it left."""
    select.select([pidfd], [], [])
    directory = state.directory_of(name)
    held = state.read(directory)
    if held is None or not held.owned or held.reaper != os.getpid():
        return 0
    if held.creating:
        end_group(held.creating, lambda: _gone(held.creating))
    try:
        output(
            *("kind", "delete", "cluster", "--name", name, "--kubeconfig", str(directory / "kubeconfig")),
            seconds=DELETE_SECONDS,
        )
    except KindError as error:
        with contextlib.suppress(OSError):
            Path(directory / "reaper.log").write_text(f"{error}\n")
        return 1
    state.forget(directory)
    return 0


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + _END_SECONDS
    while start_time(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
