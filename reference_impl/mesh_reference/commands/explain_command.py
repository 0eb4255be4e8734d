"""``refmesh explain``: prints how one request goes; `explaining` works it out."""

from __future__ import annotations

import sys

import click

from mesh_reference.commands import printing, sources
from mesh_reference.commands.explaining import Explanation, explain
from mesh_reference.commands.route_matching import parse_request
from mesh_reference.errors import MeshError


@click.command(name="explain")
@click.option(
    "-f", "--filename", "names", multiple=True, help="Manifests: a file, a directory, or -. Default: the cluster."
)
@click.option("--from", "pod", required=True, metavar="NAMESPACE/POD", help="The client: a pod or a workload's name.")
@click.option("--url", required=True, help="What it calls, such as http://reviews:80/x?page=2.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@click.option("-X", "--method", default="GET", show_default=True)
@click.option("-n", "--namespace", default="default", show_default=True, help="Where a document names none.")
@click.option("--kubeconfig", help="The cluster's kubeconfig, without -f.")
@click.option("--context", help="A context of the kubeconfig.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
def command(
    *,
    names: tuple[str, ...],
    pod: str,
    url: str,
    headers: tuple[str, ...],
    method: str,
    namespace: str,
    kubeconfig: str | None,
    context: str | None,
    output: str,
) -> None:
    """Say where one request would go, and which line decided it.

    Follows the request from a pod through listener, virtual host, route, VirtualService, cluster and endpoints. Each
    step says what decided and where that is written; routes that were tried and did not fit say why. Nothing is sent.

    With -f, the mesh is made of the manifests alone: workloads stand for one injected pod each, and addresses that no
    manifest names are invented. Without -f, it is made of what the cluster's API server holds.

    Exit code 0 when the request reaches a cluster with endpoints or is answered by the proxy, 1 when it fails
    (404 NR, 503 NC, 503 UH), 2 when something could not be read.

    Example: refmesh explain -f manifests/ --from shop/tester --url http://reviews/x -H 'x-version: v2'
    """
    try:
        request = parse_request(url, headers, method)
        if names:
            mesh = sources.mesh_of_files(names, namespace)
        else:
            mesh = sources.with_cluster(kubeconfig, context, sources.mesh_of_cluster)
        found = explain(mesh, mesh.proxy(pod), request)
    except MeshError as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    for problem_text in mesh.problems:
        click.echo(f"not served: {problem_text}", err=True)
    if output != "text":
        printing.data(found.to_json(), output)
    else:
        click.echo(f"{request.method} {url} from {pod}")
        click.echo(text_of(found), nl=False)
    sys.exit(1 if found.outcome.startswith(("404", "503", "connection reset")) else 0)


def text_of(found: Explanation) -> str:
    """The steps, numbered, with what was passed over indented below, and the outcome last."""
    lines = []
    for number, step in enumerate(found.steps, 1):
        place = f"   [{step.place}]" if step.place else ""
        lines.append(f"{number:2} {step.name:12} {step.text}{place}")
        lines += [f"{'':15} passed over {text}" for text in step.passed_over]
    return "\n".join([*lines, f"=> {found.outcome}", ""])
