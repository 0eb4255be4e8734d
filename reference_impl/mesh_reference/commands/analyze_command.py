"""``refmesh analyze``: prints what `analysis` finds in manifests or in a cluster."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from mesh_reference.commands import analysis, options, printing, sources
from mesh_reference.commands.analysis_messages import CODES, LEVELS
from mesh_reference.errors import MeshError
from mesh_reference.manual import Manual


def _codes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(code, help=entry[1]) for code, entry in CODES.items() if code.startswith(incomplete)]


@click.command(
    name="analyze",
    cls=Manual,
    exit_codes={
        0: "nothing is found from --failure-threshold on",
        1: "something is",
        2: "something could not be read; what could be is analyzed",
    },
    examples=(
        "refmesh analyze manifests/ -S IST0118 -S 'IST0101=VirtualService *.shop'",
        "refmesh analyze --kubeconfig ~/.kube/config -o json",
    ),
)
@click.argument("names", nargs=-1, metavar="[FILE|DIRECTORY|-]...", type=click.Path(allow_dash=True))
@click.option("--use-kube/--no-use-kube", default=None, help="Look at the cluster. Default: when no file is named.")
@options.namespace("Where a document names none.")
@click.option(
    "-S",
    "--suppress",
    "suppressed",
    multiple=True,
    metavar="CODE[=KIND NAME.NAMESPACE]",
    shell_complete=_codes,
    help="A code to leave out, for one resource or for all; * stands for any text; may be repeated.",
)
@click.option("-L", "--list-analyzers", "listing", is_flag=True, help="List the codes and end.")
@click.option(
    "--failure-threshold",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="Error",
    show_default=True,
    help="The level from which on the exit code is 1.",
)
@click.option(
    "--output-threshold",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="Info",
    show_default=True,
    help="The level from which on a finding is printed.",
)
@options.cluster
@options.output("log", "json", "yaml")
def command(
    *,
    names: tuple[str, ...],
    use_kube: bool | None,
    namespace: str,
    suppressed: tuple[str, ...],
    listing: bool,
    failure_threshold: str,
    output_threshold: str,
    kubeconfig: str | None,
    context: str | None,
    output: str,
) -> None:
    """Find mistakes that only show between resources: hosts and subsets that do not exist, VirtualServices in conflict.

    Codes are istioctl's; -L lists those that are looked for. Files are taken as the whole mesh, workloads in them stand
    for one pod each.
    """
    if listing:
        click.echo(printing.table(("CODE", "LEVEL", "NAME"), [(code, *entry) for code, entry in CODES.items()]))
        return
    unknown = [item for item in suppressed if item.partition("=")[0] not in CODES]
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
    for problem in mesh.unreadable:
        click.echo(problem, err=True)
    found = [item for item in analysis.analyze(mesh) if not any(item.is_meant_by(words) for words in suppressed)]
    shown = [item for item in found if _rank(item.level) >= _rank(output_threshold)]
    if output != "log":
        printing.data([item.to_json() for item in shown], output)
    for item in shown if output == "log" else ():
        click.echo(item.line)
    if not shown:
        click.echo(f"✔ No validation issues found when analyzing {', '.join(names) or 'the cluster'}.", err=True)
    fails = any(_rank(item.level) >= _rank(failure_threshold) for item in found)
    sys.exit(2 if mesh.unreadable else 1 if fails else 0)


def _rank(level: str) -> int:
    return [item.lower() for item in LEVELS].index(level.lower())
