"""What this user knows of a kind cluster: its directory (kubeconfig, loaded images) and its state file.

Files and locks only; it runs no program.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One cluster. ``creating`` is the pid of the ``kind create`` that is at work, 0 when it is done."""

    name: str
    owned: bool
    """Whether this plugin made it; another's is used and never removed."""
    creating: int = 0
    reaper: int = 0
    """Pid of the process that removes the cluster when its run ends without doing so; 0 = there is none."""
    reaper_started: int = 0


def directory_of(name: str) -> Path:
    """Give the directory of the cluster ``name`` for this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "pytest-mesh-kind" / name
    return Path(f"/tmp/pytest-mesh-kind-{os.getuid()}") / name  # noqa: S108  # its owner and mode are checked


@contextlib.contextmanager
def lock(name: str) -> Iterator[Path]:
    """Hold the cluster's name, so that one process makes or removes it at a time; gives its directory.

    Raises PermissionError where the parent is another user's.
    """
    directory = directory_of(name)
    parent = directory.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = parent.lstat()
    if status.st_uid not in {0, os.getuid()} or parent.is_symlink():
        raise PermissionError(f"{parent} belongs to uid {status.st_uid}: remove it")
    fd = _locked(parent / f".{name}.lock")
    try:
        yield directory
    finally:
        os.close(fd)


def _locked(path: Path) -> int:
    """Open and lock a file that its last holder may have removed; gives its descriptor."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        os.close(fd)


def read(directory: Path) -> State | None:
    """Give the state file's content, or None when there is none or it cannot be read."""
    try:
        data: dict[str, Any] = json.loads((directory / _STATE).read_text())
        return State(**data)
    except (OSError, ValueError, TypeError):
        return None


def write(directory: Path, state: State) -> None:
    """Write the state file in one step."""
    directory.mkdir(mode=0o700, exist_ok=True)
    replace(directory / _STATE, json.dumps(asdict(state)))


def loaded(directory: Path) -> dict[str, str]:
    """Give the images that the cluster's nodes hold: name to Docker's id."""
    try:
        data: dict[str, str] = json.loads((directory / "images.json").read_text())
    except (OSError, ValueError):
        return {}
    return data


def write_loaded(directory: Path, images: dict[str, str]) -> None:
    """Remember the images that the cluster's nodes hold."""
    replace(directory / "images.json", json.dumps(images, indent=1))


def replace(path: Path, text: str) -> None:
    """Replace ``path`` in one step; whoever reads sees the old or the new text."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def remove(directory: Path) -> None:
    """Remove what is known of a cluster. Idempotent."""
    shutil.rmtree(directory, ignore_errors=True)


def forget(directory: Path) -> None:
    """Remove what is known of a cluster that is gone, its lock included. Idempotent."""
    remove(directory)
    (directory.parent / f".{directory.name}.lock").unlink(missing_ok=True)
