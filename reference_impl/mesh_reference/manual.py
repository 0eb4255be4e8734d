"""Commands whose help is a manual page: what they do, their options, exit codes, and examples that the tests run.

It imports nothing but click: ``refmesh iptables`` starts in every pod.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

FAILED = {0: "done", 1: "failed, for the reason told", 2: "the command line is wrong"}
"""Exit codes of commands that have no others."""


class Manual(click.Command):
    """A command with examples, each a command line that begins with ``refmesh``, and the meaning of its exit codes."""

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[str] = (),
        exit_codes: Mapping[int, str] = FAILED,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.examples, self.exit_codes = tuple(examples), dict(exit_codes)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show exit codes and examples, which are never wrapped."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in self.exit_codes.items()])
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        super().format_epilog(ctx, formatter)


class ManualGroup(click.Group):
    """A group of such commands; its examples are theirs."""

    command_class = Manual

    def __init__(self, *arguments: Any, aliases: Mapping[str, str] | None = None, **settings: Any) -> None:
        """``aliases``: other name, name."""
        super().__init__(*arguments, **settings)
        self._aliases = dict(aliases or {})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self._aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _, found, rest = super().resolve_command(ctx, args)
        return found.name if found else None, found, rest
