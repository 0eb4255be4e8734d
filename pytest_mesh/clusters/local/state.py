"""A cluster's run directory and state file: where it is, whether it lives, how it is removed.

Pure file and process look-ups; it starts and ends nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mesh.liveness import start_time

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE = "state.json"
SHUT_DOWN = signal.SIGUSR1
"""The signal to a cluster's process by which its node is shut down in good order."""
SHUTDOWN_FILE = "shutdown"
"""In the run directory: how many seconds a node that is told to shut down may take over its Pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Which process holds a cluster; the start time tells it from a later one with the same number."""

    name: str
    pid: int
    started: int
    """Clock ticks since boot, field 22 of /proc/PID/stat."""
    port: int
    """The API server's, on 127.0.0.1."""

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def shutdown_seconds(directory: Path) -> float:
    """Give how long a node that is shut down may take over its Pods."""
    return float((directory / SHUTDOWN_FILE).read_text())


def default_directory(name: str) -> Path:
    """Give the run directory of the cluster ``name`` for this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "pytest-mesh" / name
    return Path(f"/tmp/pytest-mesh-{os.getuid()}") / name  # noqa: S108  # its owner and mode are checked


def read(directory: Path) -> State | None:
    """Give the state file's content, or None when there is none or it is half written."""
    try:
        data: dict[str, Any] = json.loads((directory / _STATE).read_text())
        return State(**data)
    except (OSError, ValueError, TypeError):
        return None


def write(directory: Path, state: State) -> None:
    """Write the state file atomically."""
    write_atomically(directory / _STATE, json.dumps(asdict(state)))


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` in one step; whoever reads sees the old or the new text."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Make the parent directory if need be and hold its lock: one start or removal at a time.

    Raises PermissionError when the parent is another user's.
    """
    fd = _lock(directory.parent)
    try:
        yield
    finally:
        os.close(fd)


def _lock(parent: Path) -> int:
    for _ in range(100):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            status = os.fstat(fd)
            if status.st_uid not in {0, os.getuid()}:
                os.close(fd)
                raise PermissionError(
                    f"{parent} belongs to uid {status.st_uid}: remove it, or name another run directory"
                )
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.samestat(status, parent.stat()):
                return fd
            os.close(fd)
        except FileNotFoundError:
            continue  # whoever left last has removed it
    raise OSError(f"{parent} keeps vanishing")


def remove(directory: Path) -> None:
    """Remove a run directory, and its parent when that is ours and empty. Idempotent."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.parent.name.startswith("pytest-mesh"):
        with contextlib.suppress(OSError):  # another cluster lives there
            directory.parent.rmdir()
