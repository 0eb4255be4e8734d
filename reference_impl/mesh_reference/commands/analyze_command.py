"""``refmesh analyze``: prints what `analysis` finds in manifests or in a cluster."""

from __future__ import annotations

import sys

import click

from mesh_reference.commands import analysis, printing, sources
from mesh_reference.errors import MeshError


@click.command(name="analyze")
@click.argument("names", nargs=-1, metavar="[FILE|DIRECTORY|-]...")
@click.option("--use-kube/--no-use-kube", default=None, help="Look at the cluster; default: when no file is named.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Where a document names none.")
@click.option(
    "-S", "--suppress", "suppressed", multiple=True, metavar="CODE", help="A code to leave out; may be repeated."
)
@click.option("-L", "--list-analyzers", "listing", is_flag=True, help="List the codes and end.")
@click.option(
    "--failure-threshold",
    type=click.Choice(analysis.LEVELS, case_sensitive=False),
    default="Error",
    show_default=True,
    help="The level from which on the exit code is 1.",
)
@click.option("--kubeconfig", help="The cluster's kubeconfig.")
@click.option("--context", help="A context of the kubeconfig.")
@click.option("-o", "--output", type=click.Choice(["log", "json", "yaml"]), default="log", show_default=True)
def command(
    *,
    names: tuple[str, ...],
    use_kube: bool | None,
    namespace: str,
    suppressed: tuple[str, ...],
    listing: bool,
    failure_threshold: str,
    kubeconfig: str | None,
    context: str | None,
    output: str,
) -> None:
    r"""Find mistakes that only show between resources: hosts and subsets that do not exist, VirtualServices in conflict.

    Codes are istioctl's; -L lists those that are looked for. Files are taken as the whole mesh, workloads in them stand
    for one pod each.

    Exit code 1 when something is found from --failure-threshold on, 2 when something could not be read.

    \b
    Examples:
      refmesh analyze manifests/ -S IST0118
      refmesh analyze --kubeconfig ~/.kube/config -o json
    """
    if listing:
        click.echo(
            printing.table(("CODE", "LEVEL", "NAME"), [(code, *entry) for code, entry in analysis.CODES.items()])
        )
        return
    unknown = [code for code in suppressed if code not in analysis.CODES]
    if unknown:
        raise click.UsageError(f"-S {unknown[0]}: no such code; -L lists them")
    if names and use_kube:
        raise click.UsageError("name files or --use-kube, not both: files are taken as the whole mesh")
    try:
        if names:
            mesh = sources.mesh_of_files(names, namespace)
        elif use_kube is False:
            raise click.UsageError("name files, or let the cluster be looked at")
        else:
            mesh = sources.with_cluster(kubeconfig, context, sources.mesh_of_cluster)
    except MeshError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    found = [item for item in analysis.analyze(mesh) if item.code not in suppressed]
    if output != "log":
        printing.data([item.to_json() for item in found], output)
    for item in found if output == "log" else ():
        click.echo(item.line)
    if not found:
        click.echo(f"✔ No validation issues found when analyzing {', '.join(names) or 'the cluster'}.", err=True)
    worst = analysis.worst(found)
    limit = analysis.LEVELS.index(
        next(level for level in analysis.LEVELS if level.lower() == failure_threshold.lower())
    )
    sys.exit(1 if worst is not None and analysis.LEVELS.index(worst) >= limit else 0)
