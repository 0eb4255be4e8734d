"""``pytest-mesh images``: the images of the harness for clusters that pull them: built, pushed to a registry, saved in a file.

They are the images that ``--mesh-cluster=kind`` builds and loads by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pytest_mesh.clusters.existing.image_names import pulled
from pytest_mesh.clusters.kind import images
from pytest_mesh.clusters.kind.programs import KindError, output
from pytest_mesh.contracts import WORKLOAD_IMAGE, Image

FAILED = 10
"""Exit code where Docker is missing or an image cannot be built or sent."""
_SECONDS = 1800.0

F = TypeVar("F", bound=Callable[..., Any])


def _which(function: F) -> F:
    for option in (
        click.option(
            "--implementation",
            metavar="NAME|FILE",
            help="With the images of this mesh, as --mesh-install wants them (default: the workload's alone).",
        ),
        click.option("--tag", default="", help="Their tag in the registry (default: this package's version)."),
        click.option("--registry", default="", metavar="PREFIX", help="What --mesh-image-registry will say."),
    ):
        function = option(function)
    return function


@click.group("images")
def command() -> None:
    """Build, push and save the images of the harness, for --mesh-cluster=existing."""


@command.command("list")
@_which
def list_(implementation: str | None, registry: str, tag: str) -> None:
    """Print the names by which the cluster's nodes will ask for the images."""
    for name in _table(implementation):
        click.echo(pulled(name, registry, tag))


@command.command("build")
@_which
def build(implementation: str | None, registry: str, tag: str) -> None:
    """Build the images with Docker, once per content, and print their names."""
    for name in _built(_table(implementation), registry, tag):
        click.echo(name)


@command.command("push")
@_which
def push(implementation: str | None, registry: str, tag: str) -> None:
    """Build the images and push them to the registry; log in by `docker login` first."""
    if not registry:
        raise click.UsageError("--registry: say where to push them, as --mesh-image-registry will")
    for name in _built(_table(implementation), registry, tag):
        _docker("push", "--quiet", name)
        click.echo(name)


@command.command("save")
@_which
@click.option("-o", "--output", "file", required=True, type=click.Path(dir_okay=False, path_type=Path))
def save(implementation: str | None, registry: str, tag: str, file: Path) -> None:
    """Build the images and write them into one archive, for nodes without a registry (`ctr -n k8s.io images import`)."""
    names = _built(_table(implementation), registry, tag)
    _docker("save", "--output", str(file), *names)
    for name in names:
        click.echo(name)


def _table(implementation: str | None) -> dict[str, Image]:
    from pytest_mesh.implementations.running import workload_image

    table = {WORKLOAD_IMAGE: workload_image()}
    if implementation is None:
        return table
    from pytest_mesh.clusters.existing.rbac_command import load_implementation

    return {**table, **load_implementation(implementation).images}


def _built(table: dict[str, Image], registry: str, tag: str) -> list[str]:
    try:
        images.build(table, lambda line: click.echo(line, err=True))
    except (KindError, OSError) as error:
        _end(error)
    names = []
    for name in table:
        other = pulled(name, registry, tag)
        if other != name:
            _docker("tag", name, other)
        names.append(other)
    return names


def _docker(*arguments: str) -> None:
    try:
        output("docker", *arguments, seconds=_SECONDS)
    except KindError as error:
        _end(error)


def _end(error: Exception) -> None:
    click.echo(f"Error: {error}", err=True)
    sys.exit(FAILED)
