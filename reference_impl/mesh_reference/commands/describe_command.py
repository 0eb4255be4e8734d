"""``refmesh describe``: prints what `describing` says about a pod or a Service."""

from __future__ import annotations

import sys

import click

from mesh_reference.commands import describing, printing, sources
from mesh_reference.errors import MeshError


@click.command(name="describe")
@click.argument("what", type=click.Choice(["pod", "service"]))
@click.argument("name", metavar="NAMESPACE/NAME")
@click.option(
    "-f", "--filename", "names", multiple=True, help="Manifests: a file, a directory, or -. Default: the cluster."
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Where a document names none.")
@click.option("--kubeconfig", help="The cluster's kubeconfig, without -f.")
@click.option("--context", help="A context of the kubeconfig.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
def command(
    *,
    what: str,
    name: str,
    names: tuple[str, ...],
    namespace: str,
    kubeconfig: str | None,
    context: str | None,
    output: str,
) -> None:
    """Say what the mesh does with a pod or a Service: ports, mutual TLS, subsets, routes, and what is missing.

    Exit code 0 without a WARNING, 1 with one, 2 when something could not be read.

    Example: refmesh describe pod shop/reviews-v1-7c5 --kubeconfig ~/.kube/config
    """
    try:
        if names:
            mesh = sources.mesh_of_files(names, namespace)
        else:
            mesh = sources.with_cluster(kubeconfig, context, sources.mesh_of_cluster)
        lines = describing.pod(mesh, mesh.proxy(name)) if what == "pod" else describing.service(mesh, name)
    except MeshError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    warnings = [line.strip().removeprefix("WARNING: ") for line in lines if "WARNING: " in line]
    if output == "text":
        click.echo("\n".join(lines))
    else:
        printing.data({what: name, "lines": lines, "warnings": warnings}, output)
    sys.exit(1 if warnings else 0)
