"""``refmesh``: the reference control plane's commands.

Each command's module is imported only when that command runs: ``refmesh
iptables`` starts in every pod and must not pay for gRPC.
"""

from __future__ import annotations

import importlib
import logging

import click
from click.shell_completion import CompletionItem

COMMANDS = {
    "agent": ("mesh_reference.agent.command", "Run beside Envoy: bootstrap, SDS, rotation, health."),
    "analyze": ("mesh_reference.commands.analyze_command", "Find mistakes that only show between resources."),
    "completion": ("mesh_reference.commands.completion_command", "Print what makes a shell complete refmesh."),
    "crds": ("mesh_reference.model.command", "Print the CustomResourceDefinitions."),
    "describe": ("mesh_reference.commands.describe_command", "Say what the mesh does with a pod or a Service."),
    "explain": ("mesh_reference.commands.explain_command", "Say where a request would go, and which line decided it."),
    "iptables": ("mesh_reference.agent.iptables_command", "Put the traffic-capture rules into this network namespace."),
    "istiod": ("mesh_reference.app_command", "Run the control plane."),
    "kube-inject": ("mesh_reference.injection.command", "Inject the sidecar into manifests from a file."),
    "manifests": ("mesh_reference.manifests_command", "Print what installs the mesh."),
    "proxy-config": ("mesh_reference.commands.proxy_config_command", "Print what a proxy is configured with."),
    "proxy-status": ("mesh_reference.commands.proxy_status_command", "Print which proxies are in step."),
    "validate": ("mesh_reference.validation.command", "Check Istio resources offline."),
}
"""Command name: the module that defines ``command``, and the line that ``--help`` shows."""


ALIASES = {"pc": "proxy-config", "ps": "proxy-status"}
"""istioctl's short names."""


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table, as ``--help``: a press of the tab key imports no command."""
        names = [
            CompletionItem(name, help=COMMANDS[name][1]) for name in sorted(COMMANDS) if name.startswith(incomplete)
        ]
        return [*names, *(super().shell_complete(ctx, incomplete) if incomplete.startswith("-") else ())]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the table's own lines, so that ``--help`` imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pytest-mesh", prog_name="refmesh")
def main() -> None:
    """The reference service mesh of pytest-mesh: an Istio-API control plane in Python."""
    # Commands for people say what they found themselves; those that log set logging up.
    logging.getLogger("mesh_reference").addHandler(logging.NullHandler())


if __name__ == "__main__":
    main()
