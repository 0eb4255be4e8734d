"""``pytest-mesh cluster up|down|status``: an embedded cluster that outlives its command.

Progress goes to standard error; standard output is for a shell or a program to read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.cluster import LocalCluster

DEFAULT_NAME = "mesh"
NOT_RUNNING = 3
"""Exit code of ``status`` when there is no such cluster (as ``systemctl status``)."""

_name = click.option("--name", default=DEFAULT_NAME, show_default=True, help="Name of the cluster.")
_output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group("cluster")
def command() -> None:
    """Start, end and find the embedded Kubernetes cluster."""


@command.command("up")
@_name
@_output
@click.option(
    "--assets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with kube-apiserver and etcd (KUBEBUILDER_ASSETS), to run them in place of the embedded API server.",
)
def up(name: str, output: str, assets: Path | None) -> None:
    """Start the cluster, or find it running, and print its kubeconfig."""
    from pytest_mesh.clusters.local import doctor
    from pytest_mesh.clusters.local.cluster import LocalCluster, LocalClusterError

    cluster = LocalCluster.find(name)
    if cluster is not None:
        click.echo(f"cluster {name}: running already", err=True)
    else:
        try:
            doctor.require_local(envoy=False)
            cluster = LocalCluster.start(name=name, lifeline=False, progress=_progress, assets=assets)
        except (LocalClusterError, doctor.MissingRequirementError) as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)
    if output == "json":
        click.echo(json.dumps(_describe(cluster), indent=2))
    else:
        click.echo(f"# kubeconfig: {cluster.kubeconfig}")
        click.echo(f"export KUBECONFIG={cluster.kubeconfig}")


@command.command("down")
@_name
@click.option(
    "--grace", type=click.FloatRange(min=0), default=0, show_default=True, help="Seconds for pods to end first."
)
def down(name: str, grace: float) -> None:
    """End the cluster and remove all that it left; nothing to end is no error."""
    from pytest_mesh.clusters.local.cluster import LocalCluster

    cluster = LocalCluster.find(name)
    if cluster is None:
        click.echo(f"cluster {name}: not running", err=True)
        return
    cluster.down(grace)
    click.echo(f"cluster {name}: ended", err=True)


@command.command("status")
@_name
@_output
def status(name: str, output: str) -> None:
    """Tell whether the cluster runs: exit code 0, or 3 when it does not."""
    from pytest_mesh.clusters.local.cluster import LocalCluster

    cluster = LocalCluster.find(name)
    if cluster is None:
        click.echo(
            json.dumps({"name": name, "running": False}, indent=2)
            if output == "json"
            else f"cluster {name}: not running"
        )
        sys.exit(NOT_RUNNING)
    if output == "json":
        click.echo(json.dumps(_describe(cluster), indent=2))
    else:
        click.echo(f"cluster {name}: running at {cluster.server}, kubeconfig {cluster.kubeconfig}")


def _describe(cluster: LocalCluster) -> dict[str, object]:
    return {
        "name": cluster.name,
        "running": True,
        "kubeconfig": str(cluster.kubeconfig),
        "server": cluster.server,
        "run_dir": str(cluster.directory),
    }


def _progress(line: str) -> None:
    click.echo(line, err=True)
