"""Runs a command that an implementation's file names, with the run's kubeconfig."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pytest_mesh.failures import Infrastructure

_SECONDS = 300.0
_LAST_LINES = 8


def run(command: Sequence[str], kubeconfig: Path, *, seconds: float = _SECONDS) -> str:
    """Give what a command prints; raises ``Infrastructure`` with its last lines of error."""
    line = " ".join(command)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise Infrastructure(f"{line}: {error.strerror}: {error.filename or command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise Infrastructure(f"{line}: no end after {seconds:g} s") from error
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise Infrastructure(f"{line}: exit code {done.returncode}: {last or 'no message'}")
    return done.stdout
