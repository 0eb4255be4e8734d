"""``pytest-mesh rbac``: prints the rights that a run needs, makes a kubeconfig of the account that has them, checks them.

Standard output is for ``kubectl apply -f -`` and for files; everything else goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pytest_mesh import documents
from pytest_mesh.clusters.existing import access, contexts, rbac
from pytest_mesh.clusters.existing.rbac import Account
from pytest_mesh.contracts import Implementation
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube, KubeError

MISSING = 10
"""Exit code where a right is missing or the cluster does not answer."""
_INSTALL_NOTE = """
# --install: whoever may write ClusterRoles with `escalate` and webhook configurations is a cluster administrator in all but
# name. Take these rights away again (ClusterRoleBinding pytest-mesh-install) where the mesh is there to stay."""
_NOTE = """\
# The rights of a run on this cluster (pytest --mesh-cluster=existing). Apply this as an administrator, then make a kubeconfig:
#   pytest-mesh rbac ... | kubectl apply -f -
#   pytest-mesh rbac kubeconfig{account} --duration 8h > mesh.kubeconfig
# or by hand: kubectl create token --namespace {namespace} {name} --duration 8h
# Cluster-wide the account makes and removes namespaces, and binds ClusterRole pytest-mesh-namespace in them; the
# ValidatingAdmissionPolicy holds it to namespaces labelled pytest-mesh.dev/owned=true (Kubernetes 1.30; --no-policy leaves it out).
# Pods with a sidecar have NET_ADMIN: the account is as trusted as whoever may create such pods.{more}
"""

F = TypeVar("F", bound=Callable[..., Any])


def _account(function: F) -> F:
    for option in (
        click.option("--name", default=rbac.DEFAULT_ACCOUNT, show_default=True, help="The ServiceAccount."),
        click.option("-n", "--namespace", default=rbac.DEFAULT_NAMESPACE, show_default=True, help="Its namespace."),
    ):
        function = option(function)
    return function


def _cluster(function: F) -> F:
    for option in (
        click.option("--context", default="", help="The kubeconfig's context (default: the current one)."),
        click.option(
            "--kubeconfig",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The kubeconfig (default: kubectl's own).",
        ),
    ):
        function = option(function)
    return function


_implementation = click.option(
    "--implementation",
    default="reference",
    show_default=True,
    metavar="NAME|FILE",
    help="The mesh under test: whose root Secret checks read.",
)
_install = click.option("--install", is_flag=True, help="With what --mesh-install needs.")


@click.group("rbac", invoke_without_command=True)
@_account
@_implementation
@_install
@click.option("--no-root-secret", is_flag=True, help="Leave out the right to read the mesh's signing key.")
@click.option("--no-policy", is_flag=True, help="Leave out the ValidatingAdmissionPolicy.")
@click.option(
    "--pull-secret", default="", metavar="NAMESPACE/NAME", help="A Secret that --mesh-image-pull-secret names."
)
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.pass_context
def command(
    context: click.Context,
    name: str,
    namespace: str,
    implementation: str,
    pull_secret: str,
    output: str,
    *,
    install: bool,
    no_root_secret: bool,
    no_policy: bool,
) -> None:
    """Print a ServiceAccount with the rights that a run on an existing cluster needs, and no others.

    Without the right to read the signing key, checks that mint certificates are not applicable.
    """
    if context.invoked_subcommand:
        return
    if pull_secret and pull_secret.count("/") != 1:
        raise click.BadParameter("want NAMESPACE/NAME", param_hint="--pull-secret")
    account = Account(namespace=namespace, name=name)
    found = rbac.documents(
        account,
        load_implementation(implementation),
        install=install,
        root_secret=not no_root_secret,
        policy=not no_policy,
        pull_secret=pull_secret,
    )
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}, indent=2))
        return
    own = "" if namespace == rbac.DEFAULT_NAMESPACE else f" -n {namespace}"
    own += "" if name == rbac.DEFAULT_ACCOUNT else f" --name {name}"
    note = _NOTE.format(account=own, namespace=namespace, name=name, more=_INSTALL_NOTE if install else "")
    click.echo(note + "---\n" + documents.write(*found), nl=False)


@command.command("kubeconfig")
@_account
@_cluster
@click.option("--duration", default="1h", show_default=True, help="How long its token is good, such as 8h or 30m.")
def kubeconfig(name: str, namespace: str, context: str, duration: str, *, kubeconfig: Path | None) -> None:
    """Print a kubeconfig of the account, with a token that expires; you must be allowed to create its tokens."""
    seconds = _seconds(duration)
    try:
        chosen = contexts.choose(kubeconfig, context, told=True, environ=os.environ)
        kube = _connect(chosen)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        answer = kube.create(path, body)
    except (Infrastructure, KubeError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(MISSING)
    config = chosen.config
    cluster = contexts.embedded(config["clusters"][0])
    own = f"{name}@{cluster['name']}"
    click.echo(
        documents.write(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": own,
                "contexts": [{"name": own, "context": {"cluster": cluster["name"], "user": own}}],
                "clusters": [cluster],
                "users": [{"name": own, "user": {"token": answer["status"]["token"]}}],
            }
        ),
        nl=False,
    )
    click.echo(
        f"its token expires at {answer['status'].get('expirationTimestamp', 'a time that is not told')}", err=True
    )


@command.command("check")
@_cluster
@_implementation
@_install
def check(context: str, implementation: str, *, kubeconfig: Path | None, install: bool) -> None:
    """Ask the API server whether the kubeconfig's account has the rights; a line for each that is missing, exit code 10."""
    file = load_implementation(implementation)
    try:
        kube = _connect(contexts.choose(kubeconfig, context, told=True, environ=os.environ))
        lines = access.absent(kube, install=install)
        optional = access.optional(kube, file)
        everywhere = access.everywhere(kube)
        account = access.who(kube)
    except Infrastructure as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(MISSING)
    for line in (*lines, *optional):
        click.echo(line)
    if lines:
        sys.exit(MISSING)
    click.echo(f"{account or 'this account'} has the rights of a run{' and of an installation' if install else ''}")
    if not everywhere:
        click.echo("what ClusterRole pytest-mesh-namespace gives is checked in the first namespace of a run")


def load_implementation(name: str) -> Implementation:
    """Read the implementation of a name, or a file; ends the command where there is none."""
    from pytest_mesh.implementations import registry
    from pytest_mesh.implementations.loader import ImplementationError, load

    offer = registry.find(name)
    if offer is not None and offer.path is None:
        raise click.ClickException(offer.problem)
    path = offer.path if offer is not None and offer.path is not None else Path(name)
    if not path.is_file():
        raise click.BadParameter(
            f"no implementation {name!r} (known: {', '.join(registry.names())}) and no such file",
            param_hint="--implementation",
        )
    try:
        return load(path)
    except ImplementationError as error:
        raise click.ClickException(str(error)) from error


def _connect(chosen: contexts.Chosen) -> Kube:
    with tempfile.TemporaryDirectory() as directory:
        return Kube.load(contexts.write(chosen, Path(directory)))


def _seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdecimal() or not 600 <= int(number) * units[unit] <= 2**32:
        raise click.BadParameter("want a number of s, m or h, ten minutes at least", param_hint="--duration")
    return int(number) * units[unit]
