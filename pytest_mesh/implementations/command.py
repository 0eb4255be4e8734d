"""``pytest-mesh implementation list``, ``show``, ``check`` and ``remove``: which there are, and what is wrong with one.

Exit codes: 0 nothing is wrong, 1 there are findings, 2 a file or a cluster cannot be read. Only ``remove`` runs what a file names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from pytest_mesh import documents
from pytest_mesh.contracts import Implementation
from pytest_mesh.failures import MeshError
from pytest_mesh.implementations import declared, loader, machine, registry
from pytest_mesh.implementations.findings import Finding, UnreadableError
from pytest_mesh.options import unknown

_OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
_CLUSTER_SECONDS = 5.0


@click.group()
def command() -> None:
    """Look at implementations: the files that say which mesh is judged."""


@command.command("list")
@_OUTPUT
def list_(output: str) -> None:
    """List the implementations that are installed, by the name that --mesh-implementation takes."""
    rows = registry.offers()
    if output == "text":
        width = max(len(one.name) for one in rows)
        for one in rows:
            click.echo(f"{one.name:<{width}}  {one.origin}  {one.problem or one.path}")
    else:
        _emit([{**dataclasses.asdict(one), "path": str(one.path) if one.path else None} for one in rows], output)
    sys.exit(1 if any(one.problem for one in rows) else 0)


@command.command()
@click.argument("name", metavar="NAME|FILE")
@_OUTPUT
def show(name: str, output: str) -> None:
    """Print what a file says once everything in braces is filled in; what this machine lacks stays in braces."""
    reading = _read(_locate(name))
    if reading.implementation is None:
        _complain(reading.findings)
        sys.exit(1)
    data = {key: value for key, value in dataclasses.asdict(reading.implementation).items() if key != "lines"}
    plain = json.loads(json.dumps({key: value for key, value in data.items() if _says(value)}))
    _emit(plain, "yaml" if output == "text" else output)


@command.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--suite", default="mesh_conformance", show_default=True, help="Suite whose features may be declared.")
@click.option("--cluster", is_flag=True, help="Also look at the cluster of the current kubeconfig.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="With --cluster: this file.")
@click.option("--context", help="With --cluster: this context.")
@_OUTPUT
def check(name: str, suite: str, output: str, *, cluster: bool, kubeconfig: Path | None, context: str | None) -> None:
    """Find everything that is wrong with a file, or that it names and this machine (or the cluster) does not have.

    With --cluster a namespace is made for the time of the look, and in it a Pod
    as a dry run: is the control plane up, and does the Pod come back injected?
    """
    if (kubeconfig or context) and not cluster:
        raise click.UsageError("--kubeconfig and --context are for --cluster")
    path = _locate(name)
    reading = _read(path)
    findings = list(reading.findings)
    unseen: list[str] = []
    findings += machine.lacking(reading.partial)
    findings += _undeclarable(reading.partial, suite)
    if cluster and reading.implementation is None:
        unseen = ["the cluster: first the file must keep the rules"]
    elif cluster:
        found, unseen = _look(reading.partial, kubeconfig, context)
        findings += found
    findings.sort(key=lambda one: (one.line, one.key))
    if output == "text":
        for one in findings:
            click.echo(str(one))
        for what in unseen:
            click.echo(f"{loader.shown(path)}: not looked at: {what}", err=True)
        if not findings:
            click.echo(f"{loader.shown(path)}: nothing is wrong{' (on the cluster neither)' if cluster else ''}")
    else:
        rows = [one.to_json() for one in findings]
        _emit({"file": loader.shown(path), "findings": rows, "notLookedAt": unseen}, output)
    sys.exit(1 if findings else 0)


@command.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="The kubeconfig (default: kubectl's own).")
@click.option("--context", default="", help="Its context (default: the current one).")
def remove(name: str, context: str, *, kubeconfig: Path | None) -> None:
    """Take off a cluster what --mesh-install put there and --mesh-keep left: only what carries the installation's label."""
    from pytest_mesh.clusters.existing import contexts
    from pytest_mesh.implementations import removal
    from pytest_mesh.kube import Kube, KubeError

    reading = _read(_locate(name))
    if reading.implementation is None:
        _complain(reading.findings)
        sys.exit(2)
    try:
        chosen = contexts.choose(kubeconfig, context, told=True, environ=os.environ)
        with tempfile.TemporaryDirectory() as directory:
            path = contexts.write(chosen, Path(directory))
            gone = removal.remove(Kube.load(path), path, reading.implementation, click.echo, kept=True)
    except (MeshError, KubeError) as error:
        raise _UnreadableError(str(error)) from error
    if not gone:
        raise _UnreadableError(f"context {chosen.context!r}: no run installed {reading.implementation.name!r} there")


def _undeclarable(implementation: Implementation, suite: str) -> list[Finding]:
    if isinstance(implementation.features, str):
        return []
    from pytest_mesh.report.features_command import catalogue

    try:
        known = [one.id for one in catalogue(suite)]
    except LookupError as error:
        raise _UnreadableError(str(error.args[0])) from error
    return declared.undeclarable(implementation, known)


def _look(
    implementation: Implementation, kubeconfig: Path | None, context: str | None
) -> tuple[list[Finding], list[str]]:
    from pytest_mesh.implementations import presence
    from pytest_mesh.kube import Kube, KubeError

    try:
        looked = presence.look(Kube.load(kubeconfig, context), implementation, seconds=_CLUSTER_SECONDS)
    except (MeshError, KubeError) as error:
        raise _UnreadableError(f"the cluster cannot be looked at: {error}") from error
    return looked.findings, looked.unseen


def _locate(name: str) -> Path:
    """Give the file of a name, or of a path; exit code 2 where there is none."""
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    offer = registry.find(name)
    if offer is None:
        raise _UnreadableError(f"{unknown('implementation', name, registry.names())}; or the path of a file (.toml)")
    if offer.path is None:
        raise _UnreadableError(offer.problem)
    return offer.path


def _read(path: Path) -> loader.Reading:
    try:
        return loader.read(path)
    except UnreadableError as error:
        raise _UnreadableError(str(error)) from error


class _UnreadableError(click.ClickException):
    exit_code = 2


def _complain(findings: tuple[Finding, ...]) -> None:
    for one in findings:
        click.echo(str(one), err=True)


def _says(value: Any) -> bool:
    """Whether a field says anything: neither empty nor a tuple of empty strings."""
    return bool(value) and not (isinstance(value, (tuple, list)) and not any(value))


def _emit(data: Any, output: str) -> None:
    click.echo(json.dumps(data, indent=2) if output == "json" else documents.write(data), nl=output == "json")
