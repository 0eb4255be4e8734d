"""``refmesh describe``: prints what `describing` says about a pod or a Service."""

from __future__ import annotations

import sys

import click

from mesh_reference.commands import describing, options, printing, sources
from mesh_reference.errors import MeshError
from mesh_reference.manual import Manual


@click.command(
    name="describe",
    cls=Manual,
    exit_codes={
        0: "described, without a WARNING",
        1: "described, with a WARNING",
        2: "something could not be read; the rest is described where that is possible",
    },
    examples=(
        "refmesh describe pod shop/reviews-v1-7c5 --kubeconfig ~/.kube/config",
        "refmesh describe service shop/reviews -f manifests/ -o yaml",
    ),
)
@click.argument("what", type=click.Choice(["pod", "service"]))
@click.argument("name", metavar="NAMESPACE/NAME", shell_complete=options.complete_pod)
@options.manifests()
@options.cluster
@options.output("text", "json", "yaml")
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
    """Say what the mesh does with a pod or a Service: ports, mutual TLS, subsets, routes, and what is missing."""
    try:
        if names:
            mesh = sources.mesh_of_files(names, namespace)
        else:
            mesh = sources.with_cluster(kubeconfig, context, sources.mesh_of_cluster)
        printing.problems(mesh)
        facts = describing.pod(mesh, mesh.proxy(name)) if what == "pod" else describing.service(mesh, name)
    except MeshError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    warnings = describing.warnings_of(facts)
    if output == "text":
        click.echo("\n".join(describing.lines(facts)))
    else:
        printing.data(facts, output)
    sys.exit(2 if mesh.unreadable else 1 if warnings else 0)
