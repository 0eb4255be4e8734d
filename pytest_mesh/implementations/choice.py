"""From the value of an option to the file of an implementation: a name, or the path of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_mesh.implementations import SHIPPED
from pytest_mesh.options import unknown


def choose(value: str, *, flag: str, hooked: Mapping[str, Path], directory: Path) -> Path:
    """Give the file that ``value`` names; raises ``pytest.UsageError`` in one line.

    ``hooked`` are the files that the run's own conftests and plugins gave; they
    go first, then those that the plugin ships, then those of installed packages.
    ``directory`` is where a relative path begins.
    """
    if value in hooked:
        return hooked[value]
    if value in SHIPPED:
        return SHIPPED[value]
    if value.endswith(".toml") or "/" in value:
        path = directory / value
        if not path.is_file():
            raise pytest.UsageError(f"{flag}: no file {value}")
        return path
    # Imported late: reading the entry points of every package takes its time, and most runs name a shipped one.
    from pytest_mesh.implementations import registry

    offer = registry.find(value)
    if offer is None:
        line = unknown(flag, value, {*hooked, *registry.names()})
        raise pytest.UsageError(f"{line}; or the path of an implementation file (.toml)")
    if offer.path is None:
        raise pytest.UsageError(f"{flag}: {offer.problem}")
    return offer.path
