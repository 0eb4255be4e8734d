"""How to get an extra of this package, in words: for messages. On PyPI the name pytest-mesh is another project's."""

from __future__ import annotations


def hint(extra: str) -> str:
    """Say how to get an extra without naming a command that would fetch a stranger's package."""
    return f"install the wheel of this package, by its path, with the extra [{extra}] (docs/start.md)"
