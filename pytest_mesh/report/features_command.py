"""``pytest-mesh features``: the catalogue of the installed suites, as pytest's own hook gives it."""

from __future__ import annotations

import json
import os
import tempfile

import click
import pytest

from pytest_mesh.hooks import FeatureData
from pytest_mesh.keys import RUN


class _Listener:
    """Keeps the features that the suite registers while pytest collects it."""

    def __init__(self) -> None:
        self.features: list[FeatureData] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take them at the end of collection."""
        self.features = list(session.config.stash[RUN].features.values())


def catalogue(suite: str) -> list[FeatureData]:
    """Give every feature that a suite can judge; raises ``LookupError`` when it cannot be collected."""
    listener = _Listener()
    # The directory in which the command is called, and its configuration, have no say in what a suite can judge.
    own = ["-c", os.devnull, "--rootdir", tempfile.gettempdir(), "-W", "ignore", "-p", "no:cacheprovider"]
    code = pytest.main(["--pyargs", suite, "--collect-only", "-p", "no:terminal", *own], plugins=[listener])
    if code not in {0, 5}:
        raise LookupError(f"{suite} cannot be collected (pytest's exit code {int(code)})")
    return sorted(listener.features, key=lambda one: (one.profile, one.level, one.id))


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--suite", default="mesh_conformance", show_default=True, help="Package of the suite.")
def command(output: str, suite: str) -> None:
    """List every feature that a suite can judge."""
    try:
        rows = catalogue(suite)
    except LookupError as error:
        raise click.ClickException(str(error.args[0])) from error
    if output == "json":
        click.echo(json.dumps([{"id": one.id, "profile": one.profile, "level": one.level} for one in rows], indent=1))
        return
    width = max((len(one.id) for one in rows), default=0)
    for one in rows:
        click.echo(f"{one.id:<{width}}  {one.level:<11}  {one.profile:<16}  {getattr(one, 'title', '')}")
