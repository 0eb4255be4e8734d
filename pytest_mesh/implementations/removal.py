"""Takes an implementation off a cluster that is not the run's own: the file's commands, then what the installation made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pytest_mesh.contracts import Implementation, Progress
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import commands
from pytest_mesh.implementations.installed import Made, Record
from pytest_mesh.kube import Kube, KubeError

GONE_SECONDS = 90.0
_POLL_SECONDS = 0.1


def remove(kube: Kube, kubeconfig: Path, implementation: Implementation, progress: Progress) -> None:
    """Remove what a run installed, last things first; return when it is gone.

    Does nothing where the record names no installation of this implementation, or one that was kept on purpose.
    Raises ``Infrastructure`` with everything that could not be removed.
    """
    started = time.monotonic()
    record = Record.of(implementation.name)
    before = record.read(kube)
    if before is None or before.name != implementation.name or before.kept:
        return
    problems: list[str] = []
    for command in implementation.remove:
        try:
            commands.run(command, kubeconfig)
        except Infrastructure as error:
            problems.append(str(error))
    left = [one for one in reversed(before.made) if not _delete(kube, one, problems)]
    problems += _wait_gone(kube, left)
    if problems:
        raise Infrastructure(f"{implementation.name} is not wholly removed: {'; '.join(problems)}")
    record.forget(kube)
    progress(f"mesh: {implementation.name} is removed in {time.monotonic() - started:.1f} s")


def keep(kube: Kube, implementation: Implementation) -> str:
    """Write down that the mesh stays; say in one line how it goes."""
    record = Record.of(implementation.name)
    before = record.read(kube)
    if before is None or before.name != implementation.name:
        return ""
    record.write(kube, before.name, before.digest, before.made, kept=True)
    return f"mesh: {implementation.name} is kept: no later run removes it"


def require_removable(implementation: Implementation) -> None:
    """Raise ``Infrastructure`` where a run could install on somebody's cluster what it could not remove from it."""
    if implementation.already_there:
        raise Infrastructure(
            f"--mesh-install: there is nothing to install: {implementation.where('install.already_there')}"
        )
    if implementation.install and not implementation.remove:
        raise Infrastructure(
            "--mesh-install: install.remove must say how to undo the commands of "
            f"{implementation.where('install.install')}"
        )


def _delete(kube: Kube, one: Made, problems: list[str]) -> bool:
    """Delete an object; whether there is nothing to wait for."""
    try:
        kube.delete(kube.resource(one.api_version, one.kind).path(one.namespace, one.name))
    except KubeError as error:
        if error.status != 404:
            problems.append(f"{one.kind} {one.name}: {error.message}")
        return True
    return False


def _wait_gone(kube: Kube, left: Sequence[Made]) -> list[str]:
    """Wait for what is removed in its own time (namespaces, kinds with finalizers); name what stays."""
    deadline = time.monotonic() + GONE_SECONDS
    stays = []
    for one in left:
        path = kube.resource(one.api_version, one.kind).path(one.namespace, one.name)
        while kube.find(path) is not None:
            if time.monotonic() > deadline:
                stays.append(f"{one.kind} {one.name} is still there after {GONE_SECONDS:g} s")
                break
            time.sleep(_POLL_SECONDS)
    return stays
