"""Options that several commands share, and what the shell completes for them. No command's own logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

_ANSWER_SECONDS = 2.0
"""How long a person who presses the tab key waits for a cluster."""


def manifests(required: bool = False) -> Callable[[Command], Command]:
    """``-f``, manifests in place of the cluster, and ``-n``."""
    default = "" if required else " Default: the cluster."
    files = click.option(
        "-f",
        "--filename",
        "names",
        multiple=True,
        required=required,
        type=click.Path(allow_dash=True),
        metavar="FILE|DIRECTORY|-",
        help=f"Manifests: a file, all files below a directory, or - for standard input; may be repeated.{default}",
    )
    return lambda command: files(namespace("Where a document names none.")(command))


def namespace(what: str) -> Callable[[Command], Command]:
    """``-n``."""
    return click.option(
        "-n", "--namespace", default="default", show_default=True, shell_complete=complete_namespace, help=what
    )


def cluster(command: Command) -> Command:
    """``--kubeconfig`` and ``--context``."""
    config = click.option(
        "-c", "--kubeconfig", type=click.Path(dir_okay=False), help="The cluster's kubeconfig. Default: kubectl's."
    )
    context = click.option("--context", help="A context of the kubeconfig. Default: its current one.")
    return config(context(command))


def output(*choices: str) -> Callable[[Command], Command]:
    """``-o``; the first choice is for people and the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="How the result is printed.",
    )


def complete_pod(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``namespace/pod`` of the manifests named so far, else of the cluster; nothing when it does not answer in time."""
    return [CompletionItem(name) for name in _pods(context.params) if name.startswith(incomplete)]


def complete_namespace(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Namespaces that have pods."""
    names = {name.partition("/")[0] for name in _pods(context.params)}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _pods(given: dict[str, Any]) -> list[str]:
    from mesh_reference.commands import sources
    from mesh_reference.errors import MeshError

    try:
        if given.get("names"):
            mesh = sources.mesh_of_files(tuple(given["names"]), str(given.get("namespace") or "default"))
            pods = mesh.configuration.snapshot.pods.values()
            return sorted(f"{pod.namespace}/{pod.name}" for pod in pods)
        return sorted(sources.with_cluster(given.get("kubeconfig"), given.get("context"), _names))
    except (MeshError, OSError, TimeoutError):
        return []


async def _names(kube: Any) -> list[str]:
    import asyncio

    from mesh_reference.kube.resources import PODS

    async with asyncio.timeout(_ANSWER_SECONDS):
        pods = await kube.list(PODS)
    return [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods]
