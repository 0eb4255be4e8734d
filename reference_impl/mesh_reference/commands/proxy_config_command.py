"""``refmesh proxy-config``: what a proxy is configured with, in istioctl's tables (§5), one command for each part.

From a running pod, from a saved dump, or from manifests: what the control plane would send.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from mesh_reference.commands import dump, options, printing, proxy_views, sources
from mesh_reference.commands.proxy_dump import of_proxy
from mesh_reference.errors import MeshError
from mesh_reference.manual import Manual, ManualGroup

if TYPE_CHECKING:
    from mesh_reference.kube.client import Kube

Json = dict[str, Any]

_SOURCES = """Three sources, one of which must be named: a POD of the cluster (its Envoy is asked through a port-forward); a saved
dump with --file, or with -f alone; or manifests with -f and a pod with --for: then it is what the control plane would send,
without a cluster."""
_EXIT_CODES = {0: "printed", 2: "the source, or a part of it, cannot be read: the rest is printed"}
_POD = "[POD[.NAMESPACE]|NAMESPACE/POD]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    dump: dump.Dump
    raw: Json
    """The whole of it as JSON."""
    exit_code: int = 0


_ALIASES = {alias: name for name, part in proxy_views.PARTS.items() for alias in part.aliases}


@click.command(name="proxy-config", cls=ManualGroup, aliases={**_ALIASES, "a": "all"})
def command() -> None:
    """Print what a proxy is configured with: of a running pod, of a saved dump, or as it would be for manifests.

    Each command takes istioctl's other names, too, such as routes and r for route.
    """


def _source(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments that say where the configuration comes from, and how it is printed."""
    for decorate in (
        options.output("short", "json", "yaml"),
        options.cluster,
        options.namespace("Of the pod, or where a document names none."),
        click.option(
            "--for", "wanted", metavar="NAMESPACE/POD", shell_complete=options.complete_pod,
            help="With -f: what the control plane would send to this pod, or to a pod of this workload.",
        ),
        click.option(
            "-f", "--filename", "names", multiple=True, metavar="FILE|DIRECTORY|-", type=click.Path(allow_dash=True),
            help="Manifests, with --for; without it a saved dump, as istioctl takes it.",
        ),
        click.option(
            "--file", "file", metavar="DUMP|-", type=click.Path(allow_dash=True),
            help="A saved dump: what Envoy's GET /config_dump?include_eds printed, or GET /clusters?format=json.",
        ),
        click.argument("pod", required=False, metavar=_POD, shell_complete=options.complete_pod),
    ):  # fmt: skip
        function = decorate(function)
    return function


def _make(name: str) -> click.Command:
    part = proxy_views.PARTS[name]

    def run(*, output: str, **given: Any) -> None:
        wanted = {item.name: given.pop(item.name) for item in part.filters}
        taken = _taken(**given)
        found = proxy_views.narrowed(taken.dump, name, {key: value for key, value in wanted.items() if value})
        if output == "short":
            click.echo(printing.table(part.columns, part.rows(found), part.gap), nl=False)
        else:
            printing.data(proxy_views.data(found, name), output)
        sys.exit(taken.exit_code)

    for item in reversed(part.filters):
        run = click.option(f"--{item.name}", item.name, help=f"Only those {item.help}")(run)
    columns = ", ".join(part.columns)
    return click.command(
        name=name,
        cls=Manual,
        exit_codes=_EXIT_CODES,
        examples=(
            f"refmesh proxy-config {name} reviews-v1-7c5.shop",
            f"refmesh proxy-config {name} -f dump.json -o json",
            f"refmesh proxy-config {name} -f manifests/ --for shop/tester",
        ),
        help=(
            f"Print {part.what}.\n\nThe table's columns: {columns}. `-o json` has the resources as Envoy's config "
            f"dump shows them, with protobuf's own field names.\n\n{_SOURCES}"
        ),
    )(_source(run))


@click.command(
    name="all",
    cls=Manual,
    exit_codes=_EXIT_CODES,
    examples=(
        "refmesh proxy-config all reviews-v1-7c5.shop -o json",
        "refmesh proxy-config all -f manifests/ --for shop/tester -o json",
    ),
    help="Print all of it: the tables one after the other, or with `-o json` Envoy's whole config dump.\n\n" + _SOURCES,
)
@_source
def _all(*, output: str, **given: Any) -> None:
    taken = _taken(**given)
    if output != "short":
        printing.data(taken.raw, output)
    else:
        tables = (printing.table(part.columns, part.rows(taken.dump), part.gap) for part in proxy_views.PARTS.values())
        click.echo("\n".join(tables), nl=False)
    sys.exit(taken.exit_code)


def _taken(
    *,
    pod: str | None,
    file: str | None,
    names: tuple[str, ...],
    wanted: str | None,
    namespace: str,
    kubeconfig: str | None,
    context: str | None,
) -> _Taken:
    """The configuration from its source; ends with 2 when that cannot be read."""
    if names and wanted is None and pod is None and file is None and len(names) == 1:
        file = names[0]
    elif sum((pod is not None, file is not None, bool(names))) != 1:
        raise click.UsageError("name one source: a POD, --file DUMP, or -f MANIFESTS with --for NAMESPACE/POD")
    elif bool(names) != (wanted is not None):
        raise click.UsageError("-f MANIFESTS and --for NAMESPACE/POD go together")
    try:
        if file is not None:
            found, raw = sources.read_dump(file)
            return _Taken(dump=found, raw=raw)
        if wanted is not None:
            mesh = sources.mesh_of_files(names, namespace)
            printing.problems(mesh)
            found = of_proxy(mesh.configuration, mesh.proxy(wanted))
            return _Taken(dump=found, raw=dump.to_json(found), exit_code=2 if mesh.unreadable else 0)
        from mesh_reference.commands.pods import split_name

        place = split_name(str(pod), namespace)
        raw, clusters = sources.with_cluster(kubeconfig, context, lambda kube: _ask(kube, *place))
        return _Taken(dump=replace(dump.read(raw), statuses=dump.read(clusters).statuses), raw=raw)
    except MeshError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


async def _ask(kube: Kube, namespace: str, pod: str) -> tuple[Json, Json]:
    from mesh_reference.commands.pods import envoy_clusters, envoy_dump

    return await envoy_dump(kube, namespace, pod), await envoy_clusters(kube, namespace, pod)


for _name in proxy_views.PARTS:
    command.add_command(_make(_name))
command.add_command(_all)
