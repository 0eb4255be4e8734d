"""Every command of ``refmesh`` that does something, by its path."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mesh_reference.cli import main


def leaves(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """``("proxy-config route", command)``, in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from leaves(found, (*path, name))
        else:
            yield " ".join((*path, name)), found
