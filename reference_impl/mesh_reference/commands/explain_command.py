"""``refmesh explain``: prints how one request goes; `explaining` works it out."""

from __future__ import annotations

import sys

import click

from mesh_reference.commands import options, printing, sources
from mesh_reference.commands.explaining import explain
from mesh_reference.commands.explanation import Explanation
from mesh_reference.commands.route_matching import parse_request
from mesh_reference.errors import MeshError
from mesh_reference.manual import Manual


@click.command(
    name="explain",
    cls=Manual,
    exit_codes={
        0: "the request reaches a cluster with endpoints or is answered by the proxy",
        1: "it fails: 404 NR, 503 NC, 503 UH, 403 of a policy, or a reset",
        2: "something could not be read; the rest is explained where that is possible",
    },
    examples=(
        "refmesh explain -f manifests/ --from shop/tester --url http://reviews/x -H 'x-version: v2'",
        "refmesh explain --from istio-system/ingress --url http://shop.example/cart -X POST -o json",
    ),
)
@options.manifests()
@click.option(
    "--from", "pod", required=True, metavar="NAMESPACE/POD", shell_complete=options.complete_pod,
    help="The client: a pod, a workload's name, or the pod of a gateway for a request from outside.",
)  # fmt: skip
@click.option("--url", required=True, help="What it calls, such as http://reviews:80/x?page=2.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@click.option("-X", "--method", default="GET", show_default=True, help="The method.")
@options.cluster
@options.output("text", "json", "yaml")
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

    Follows the request from a pod through Sidecar, listener, virtual host, route, VirtualService and delegate, what is done
    to it on the way (fault, rewrite, redirect, direct response, headers, timeout, mirror, CORS), cluster and endpoints, to what
    the server's proxy says to it by PeerAuthentication and AuthorizationPolicy. Each step says what decided and where that is
    written; routes and rules that were tried and did not fit say why. Nothing is sent.

    With -f, the mesh is made of the manifests alone: workloads stand for one injected pod each, and addresses that no
    manifest names are invented. Without -f, it is made of what the cluster's API server holds. A pod that a Gateway selects
    is a gateway. `-o json` has every answer that may come, with its share of the requests.
    """
    try:
        request = parse_request(url, headers, method)
        if names:
            mesh = sources.mesh_of_files(names, namespace)
        else:
            mesh = sources.with_cluster(kubeconfig, context, sources.mesh_of_cluster)
        printing.problems(mesh)
        found = explain(mesh, mesh.proxy(pod), request)
    except MeshError as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    if output != "text":
        printing.data(found.to_json(), output)
    else:
        click.echo(f"{request.method} {url} from {pod}")
        click.echo(text_of(found), nl=False)
    sys.exit(2 if mesh.unreadable else 1 if found.fails else 0)


def text_of(found: Explanation) -> str:
    """The steps, numbered, with what was passed over indented below, and the outcome last."""
    lines = []
    for number, step in enumerate(found.steps, 1):
        place = f"   [{step.place}]" if step.place else ""
        lines.append(f"{number:2} {step.name:15} {step.text}{place}")
        lines += [f"{'':18} passed over {text}" for text in step.passed_over]
    return "\n".join([*lines, f"=> {found.outcome}", ""])
