"""``refmesh proxy-status``: which sidecars are connected and in step, and how one differs from what it was told."""

from __future__ import annotations

import sys

import click

from mesh_reference.commands import dump, options, printing, sources, sync_state
from mesh_reference.commands.pods import debug_page, debug_pages, envoy_dump, istiods, split_name
from mesh_reference.errors import ApiFailure, MeshError
from mesh_reference.kube.client import Kube
from mesh_reference.manual import Manual


@click.command(
    name="proxy-status",
    cls=Manual,
    exit_codes={
        0: "all are in step; the pod holds what it was told",
        1: "one is not; the pod differs",
        2: "the mesh cannot be asked",
    },
    examples=("refmesh proxy-status -v 1", "refmesh proxy-status reviews-v1-7c5.shop"),
)
@click.argument("pod", required=False, metavar="[POD[.NAMESPACE]|NAMESPACE/POD]", shell_complete=options.complete_pod)
@options.namespace("Of the pod.")
@click.option(
    "-i", "--istio-namespace", "root", default="istio-system", show_default=True, help="Where the control plane runs."
)
@click.option(
    "-v", "--verbosity", type=click.IntRange(0, 1), default=0, help="1 = the state of each type, with refusals."
)
@options.cluster
@options.output("short", "json", "yaml")
def command(
    *,
    pod: str | None,
    namespace: str,
    root: str,
    verbosity: int,
    kubeconfig: str | None,
    context: str | None,
    output: str,
) -> None:
    """Print the sidecars that are connected to the control plane, and whether they took what they were sent.

    States (-v 1): SYNCED = the last push is acknowledged; STALE = it is not yet; NOT SENT = nothing to send; REJECTED =
    Envoy refused it and keeps what it had, with its reason. With a POD, what its Envoy holds is compared with what the
    control plane makes for it, and the difference is shown.
    """
    try:
        if pod is not None:
            place = split_name(pod, namespace)
            text = sources.with_cluster(kubeconfig, context, lambda kube: _difference(kube, root, *place))
            click.echo(text, nl=False)
            sys.exit(0 if all(line.endswith(" Match") for line in text.splitlines()) else 1)
        pages = sources.with_cluster(kubeconfig, context, lambda kube: debug_pages(kube, root, "syncz"))
    except MeshError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    if output != "short":
        printing.data(pages, output)
    elif verbosity:
        click.echo(printing.table(sync_state.WIDE_COLUMNS, sync_state.wide_rows(pages)), nl=False)
    else:
        click.echo(printing.table(sync_state.COLUMNS, sync_state.rows(pages)), nl=False)
    sys.exit(1 if sync_state.is_stale(pages) else 0)


async def _difference(kube: Kube, root: str, namespace: str, pod: str) -> str:
    running = dump.read(await envoy_dump(kube, namespace, pod))
    problem: MeshError | None = None
    for istiod in await istiods(kube, root):
        try:
            wanted = await debug_page(kube, root, istiod, f"config_dump?proxyID={pod}.{namespace}")
        except ApiFailure as error:  # of several control planes one serves the pod
            problem = error
            continue
        return sync_state.compare(dump.read(wanted), running)
    raise MeshError(f"no control plane serves {namespace}/{pod}: {problem}") from problem
