"""``pytest-mesh``: the harness's command line. A command's module is imported when the command is called."""

from __future__ import annotations

from importlib import import_module

import click

from pytest_mesh.extras import hint

_COMMANDS = {
    "cluster": ("pytest_mesh.clusters.local.command", "local"),
    "doctor": ("pytest_mesh.clusters.local.doctor_command", ""),
    "features": ("pytest_mesh.report.features_command", ""),
    "images": ("pytest_mesh.clusters.kind.images_command", ""),
    "implementation": ("pytest_mesh.implementations.command", ""),
    "rbac": ("pytest_mesh.clusters.existing.rbac_command", ""),
    "report": ("pytest_mesh.report.command", ""),
    "svid": ("pytest_mesh.identity.command", ""),
}
"""Command to module (whose ``command`` it is) and the extra that it needs."""


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported at their first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands' names."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, extra = _COMMANDS[cmd_name]
        try:
            command: click.Command = import_module(module).command
        except ImportError as error:
            said = f": {hint(extra)}" if extra else ""
            raise click.ClickException(f"{cmd_name} cannot be loaded ({error}){said}") from error
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pytest-mesh")
def main() -> None:
    """Clusters, checks and reports for service meshes."""


if __name__ == "__main__":
    main()
