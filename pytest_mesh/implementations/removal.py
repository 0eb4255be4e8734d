"""Takes an implementation off a cluster that is not the run's own: the file's commands, then what the installation made.

An object is removed only while it carries the installation's label: whoever
took it over takes the label off.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_mesh.contracts import Implementation, Progress
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import commands
from pytest_mesh.implementations.installed import LABEL, Installed, Made, Record, label_of
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.liveness import Process

GONE_SECONDS = 90.0
_POLL_SECONDS = 0.1


def adopt(kube: Kube, implementation: Implementation, process: str) -> bool:
    """Take over what this run installed or a dead run left, so that this run removes it; whether there is such a thing.

    A living run's mesh, and one that was kept on purpose, is left to itself.
    """
    record = Record.of(implementation.name, guest=True)
    before = record.read(kube)
    if before is None or before.name != implementation.name or before.kept:
        return False
    if before.process != process:
        installer = Process.parse(before.process)
        if installer is None or not installer.here or installer.running:
            return False
        record.write(kube, dataclasses.replace(before, process=process))
    return True


def remove(
    kube: Kube, kubeconfig: Path, implementation: Implementation, progress: Progress, *, kept: bool = False
) -> bool:
    """Remove what runs installed, last things first; return when it is gone: True, or False where there is no such thing.

    What was kept on purpose goes with ``kept`` only. Raises ``Infrastructure`` with everything that could not be removed.
    """
    started = time.monotonic()
    record = Record.of(implementation.name, guest=True)
    before = record.read(kube)
    if before is None or before.name != implementation.name or (before.kept and not kept):
        return False
    problems = _run_commands(implementation, kubeconfig)
    left = [one for one in reversed(before.made) if _delete(kube, one, before, problems)]
    problems += _wait_gone(kube, [_path(kube, one) for one in left])
    problems += _remove_bundles(kube, implementation, before.since)
    if problems:
        raise Infrastructure(f"{implementation.name} is not wholly removed: {'; '.join(problems)}")
    problems = _wait_gone(kube, record.forget(kube))
    if problems:
        raise Infrastructure(f"{implementation.name} is removed, its record is not: {'; '.join(problems)}")
    progress(f"mesh: {implementation.name} is removed in {time.monotonic() - started:.1f} s")
    return True


def keep(kube: Kube, implementation: Implementation) -> str:
    """Write down that the mesh stays; say in one line how it goes."""
    record = Record.of(implementation.name, guest=True)
    before = record.read(kube)
    if before is None or before.name != implementation.name:
        return ""
    record.write(kube, dataclasses.replace(before, kept=True))
    return (
        f"mesh: {implementation.name} is kept; remove it with: pytest-mesh implementation remove {implementation.name}"
    )


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


def _run_commands(implementation: Implementation, kubeconfig: Path) -> list[str]:
    problems = []
    for command in implementation.remove:
        try:
            commands.run(command, kubeconfig)
        except Infrastructure as error:
            problems.append(str(error))
    return problems


def _path(kube: Kube, one: Made) -> str:
    return kube.resource(one.api_version, one.kind).path(one.namespace, one.name)


def _delete(kube: Kube, one: Made, before: Installed, problems: list[str]) -> bool:
    """Delete an object; whether its end is to be waited for."""
    try:
        path = _path(kube, one)
        found = kube.find(path)
        if found is None:
            return False
        if (found["metadata"].get("labels") or {}).get(LABEL) != label_of(before.name):
            problems.append(
                f"{one.kind} {one.name} is left: it does not carry {LABEL}={label_of(before.name)} any more"
            )
            return False
        uid = found["metadata"].get("uid")
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": {"uid": uid}} if uid else {})}
        kube.request("DELETE", path, body=body)
    except KubeError as error:
        if error.status != 404:  # a kind that is gone took its objects along
            problems.append(f"{one.kind} {one.name}: {error.message}")
        return False
    return True


def _remove_bundles(kube: Kube, implementation: Implementation, since: str) -> list[str]:
    """Remove what the mesh itself put into every namespace: the trust bundles that came with the installation."""
    name = implementation.root_config_map[0]
    if not (name and since):
        return []
    try:
        for one in kube.list("/api/v1/configmaps", fieldSelector=f"metadata.name={name}"):
            metadata = one["metadata"]
            if metadata["name"] == name and metadata.get("creationTimestamp", "") >= since:
                kube.delete(f"/api/v1/namespaces/{metadata['namespace']}/configmaps/{name}")
    except KubeError as error:
        return [f"ConfigMaps {name}: {error.message}"]
    return []


def _wait_gone(kube: Kube, paths: Sequence[str]) -> list[str]:
    """Wait for what is removed in its own time (namespaces, kinds with finalizers); name what stays."""
    deadline = time.monotonic() + GONE_SECONDS
    stays = []
    for path in paths:
        while kube.find(path) is not None:
            if time.monotonic() > deadline:
                stays.append(f"{path} is still there after {GONE_SECONDS:g} s")
                break
            time.sleep(_POLL_SECONDS)
    return stays
