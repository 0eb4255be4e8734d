"""``refmesh completion``: prints what makes a shell complete commands, options, files, namespaces and pods."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mesh_reference.manual import Manual

VARIABLE = "_REFMESH_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(
    name="completion",
    cls=Manual,
    exit_codes={0: "printed", 2: "no such shell"},
    examples=(
        "refmesh completion bash > /etc/bash_completion.d/refmesh",
        "refmesh completion zsh > ~/.zfunc/_refmesh",
        "refmesh completion fish > ~/.config/fish/completions/refmesh.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of a shell, to be read at its start.

    Completes names of commands, options and their values, files, and namespaces and pods: of the manifests named with -f,
    else of the cluster, when it answers within two seconds.
    """
    root = click.get_current_context().find_root()
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(root.command, {}, "refmesh", VARIABLE).source())
