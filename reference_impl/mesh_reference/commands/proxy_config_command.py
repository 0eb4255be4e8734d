"""``refmesh proxy-config``: what a sidecar is configured with, in istioctl's tables (§5).

From a running pod, from a saved dump, or from manifests: what the control plane would send.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from mesh_reference.commands import dump, printing, sources, summaries
from mesh_reference.commands.proxy_dump import of_proxy
from mesh_reference.errors import MeshError

Json = dict[str, Any]

_TABLES: dict[str, tuple[tuple[str, ...], Callable[[dump.Dump], list[summaries.Row]], str]] = {
    "cluster": (summaries.CLUSTER_COLUMNS, summaries.clusters, "clusters"),
    "listener": (summaries.LISTENER_COLUMNS, summaries.listeners, "listeners"),
    "route": (summaries.ROUTE_COLUMNS, summaries.routes, "routes"),
    "endpoint": (summaries.ENDPOINT_COLUMNS, summaries.endpoints, "endpoints"),
    "secret": (summaries.SECRET_COLUMNS, summaries.secrets, "secrets"),
    "bootstrap": (("FIELD", "VALUE"), summaries.bootstrap, "bootstrap"),
}


@click.command(name="proxy-config")
@click.argument("what", type=click.Choice([*_TABLES, "all"]))
@click.argument("pod", required=False, metavar="[POD[.NAMESPACE]|NAMESPACE/POD]")
@click.option("--file", "file", help="A saved config dump (Envoy's GET /config_dump), or -.")
@click.option("-f", "--filename", "names", multiple=True, help="Manifests: what the control plane would send for them.")
@click.option("--for", "wanted", metavar="NAMESPACE/POD", help="With -f: for which pod or workload.")
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Of the pod, or where a document names none."
)
@click.option("--fqdn", help="Only clusters, endpoints and routes of this host.")
@click.option("--port", type=int, help="Only clusters, listeners, endpoints and routes of this port.")
@click.option("--kubeconfig", help="The cluster's kubeconfig.")
@click.option("--context", help="A context of the kubeconfig.")
@click.option("-o", "--output", type=click.Choice(["short", "json", "yaml"]), default="short", show_default=True)
def command(
    *,
    what: str,
    pod: str | None,
    file: str | None,
    names: tuple[str, ...],
    wanted: str | None,
    namespace: str,
    fqdn: str | None,
    port: int | None,
    kubeconfig: str | None,
    context: str | None,
    output: str,
) -> None:
    r"""Print a sidecar's configuration: clusters, listeners, routes, endpoints, secrets, bootstrap, or all.

    Three sources, one of which must be named: a POD of the cluster (its Envoy is asked through a port-forward), --file
    with a saved dump, or -f with manifests and --for with a pod: then it is what the control plane would send, without
    a cluster, which a pull request can show as a diff. `-o json` of `all` has the form of Envoy's config dump.

    Exit code 2 when the source cannot be read.

    \b
    Examples:
      refmesh proxy-config route reviews-v1-7c5.shop
      refmesh proxy-config cluster --file dump.json --fqdn reviews.shop.svc.cluster.local
      refmesh proxy-config all -f manifests/ --for shop/tester -o json
    """
    if sum((pod is not None, file is not None, bool(names))) != 1:
        raise click.UsageError("name one source: a POD, --file DUMP, or -f MANIFESTS with --for NAMESPACE/POD")
    if bool(names) != (wanted is not None):
        raise click.UsageError("-f and --for go together")
    try:
        if file is not None:
            found, raw = sources.read_dump(file)
        elif wanted is not None:
            mesh = sources.mesh_of_files(names, namespace)
            found = of_proxy(mesh.configuration, mesh.proxy(wanted))
            raw = dump.to_json(found)
            for problem in mesh.problems:
                click.echo(f"not served: {problem}", err=True)
        else:
            from mesh_reference.commands.pods import envoy_dump, split_name

            place = split_name(str(pod), namespace)
            raw = sources.with_cluster(kubeconfig, context, lambda kube: envoy_dump(kube, *place))
            found = dump.read(raw)
    except MeshError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    found = _filtered(found, fqdn, port)
    if output == "short":
        click.echo(_tables(found, what), nl=False)
    elif what == "all":
        printing.data(raw if fqdn is None and port is None else dump.to_json(found), output)
    else:
        printing.data(json.loads(json.dumps(getattr(found, _TABLES[what][2]))), output)


def _tables(found: dump.Dump, what: str) -> str:
    chosen = [name for name in _TABLES if what in {"all", name}]
    shown = [printing.table(_TABLES[name][0], _TABLES[name][1](found)) for name in chosen]
    return "\n".join(shown)


def _filtered(found: dump.Dump, fqdn: str | None, port: int | None) -> dump.Dump:
    """Only what concerns the host and the port; what names neither goes too when they are asked for."""
    if fqdn is None and port is None:
        return found

    def fits(name: str) -> bool:
        parts = name.split("|")
        if len(parts) != 4:
            return False
        return (fqdn is None or parts[3] == fqdn) and (port is None or parts[1] == str(port))

    def listens(item: Json) -> bool:
        where = (item.get("address") or {}).get("socket_address") or {}
        return port is None or where.get("port_value") == port

    def hosts(table: Json) -> Json:
        kept = [
            host
            for host in table.get("virtual_hosts") or ()
            if (fqdn is None or fqdn in (host.get("domains") or ()))
            and (port is None or str(table.get("name", "")).rpartition(":")[2] == str(port))
        ]
        return {**table, "virtual_hosts": kept}

    tables = tuple(hosts(table) for table in found.routes)
    return dump.Dump(
        clusters=tuple(item for item in found.clusters if fits(str(item.get("name", "")))),
        listeners=tuple(item for item in found.listeners if listens(item)),
        routes=tuple(table for table in tables if table["virtual_hosts"]),
        endpoints=tuple(item for item in found.endpoints if fits(str(item.get("cluster_name", "")))),
        secrets=found.secrets,
        bootstrap=found.bootstrap,
    )
