"""``pytest-mesh features``: the catalogue of the installed suites, as pytest's own hook gives it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import click
import pytest

from pytest_mesh.contracts import Json
from pytest_mesh.hooks import FeatureData
from pytest_mesh.keys import RUN

_COLUMNS = ("id", "level", "profile", "spec", "since", "title", "rows")
_FIELDS = ("id", "profile", "level", "title", "rows", "link", "spec", "since")
"""Fields that a feature has which is no dataclass."""


class _Listener:
    """Keeps the features that the suite registers while pytest collects it."""

    def __init__(self) -> None:
        self.features: list[FeatureData] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take them at the end of collection."""
        self.features = list(session.config.stash[RUN].features.values())


class _SuiteError(click.ClickException):
    """A suite that cannot be collected: what was asked for is not there, or is not whole."""

    exit_code = 4


def catalogue(suite: str) -> list[FeatureData]:
    """Give every feature that a suite can judge; raises ``LookupError``, in one line, when it cannot be collected."""
    if not all(part.isidentifier() for part in suite.split(".")):
        raise LookupError(f"{suite!r} is no name of a package")
    listener = _Listener()
    # The directory in which the command is called, and its configuration, have no say in what a suite can judge.
    own = ["-c", os.devnull, "--rootdir", tempfile.gettempdir(), "-W", "ignore", "-p", "no:cacheprovider"]
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        code = pytest.main(["--pyargs", suite, "--collect-only", "-p", "no:terminal", *own], plugins=[listener])
    if code not in {0, 5}:
        said = [line.removeprefix("ERROR: ") for line in told.getvalue().splitlines() if line.strip()]
        raise LookupError(
            f"{suite}: {said[0] if said else f'cannot be collected: pytest {suite} --collect-only says why'}"
        )
    if not listener.features:
        raise LookupError(f"{suite}: registers no feature: it is no conformance suite")
    return sorted(listener.features, key=lambda one: (one.profile, one.level, one.id))


def as_json(feature: FeatureData) -> Json:
    """Give every field of a feature."""
    fields = [one.name for one in dataclasses.fields(feature)] if dataclasses.is_dataclass(feature) else _FIELDS
    return {name: getattr(feature, name) for name in fields if hasattr(feature, name)}


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--suite", default="mesh_conformance", show_default=True, help="Package of the suite.")
def command(output: str, suite: str) -> None:
    """List every feature that a suite can judge (-o json: with the links to where each is specified)."""
    try:
        rows = [as_json(one) for one in catalogue(suite)]
    except LookupError as error:
        raise _SuiteError(str(error.args[0])) from error
    if output == "json":
        click.echo(json.dumps(rows, indent=1, default=str))
        return
    for line in _table(
        [[name.upper() for name in _COLUMNS], *([_cell(row.get(name, "")) for name in _COLUMNS] for row in rows)]
    ):
        click.echo(line)


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Give lines with columns of one width; columns in which nothing stands are left out."""
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    widths = {index: max(len(row[index]) for row in rows) for index in kept}
    return ["  ".join(f"{row[index]:<{widths[index]}}" for index in kept).rstrip() for row in rows]
