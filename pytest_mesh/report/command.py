"""``pytest-mesh report show FILE``: a ConformanceReport as a table."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.report.model import API_VERSION


@click.group()
def command() -> None:
    """Read ConformanceReports."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def show(file: Path) -> None:
    """Print what a report says of each profile."""
    data = _read(file)
    implementation = data["implementation"]
    click.echo(f"{implementation['project']} {implementation['version']}, {data['date']}")
    for profile in data["profiles"]:
        click.echo(f"{profile['name']}: {profile['summary']}")
        for level in ("core", "extended"):
            part = profile.get(level)
            if part is None:
                continue
            click.echo(f"  {level}: {part['result']}")
            for key in ("supportedFeatures", "unprovenFeatures", "unsupportedFeatures", "failedTests"):
                if part.get(key):
                    click.echo(f"    {key}: {', '.join(part[key])}")


def _read(file: Path) -> Json:
    try:
        data = documents.load(file.read_text(), source=str(file))
    except documents.DocumentError as error:
        raise click.ClickException(str(error)) from error
    if not isinstance(data, dict) or data.get("apiVersion") != API_VERSION or data.get("kind") != "ConformanceReport":
        raise click.ClickException(f"{file}: no ConformanceReport of {API_VERSION}")
    return data
