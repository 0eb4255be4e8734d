"""``pytest-mesh report show FILE`` and ``verify FILE``: a ConformanceReport as a table, and held against itself."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.report.model import API_VERSION
from pytest_mesh.report.verification import problems


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
            for key in ("supportedFeatures", "unprovenFeatures", "unsupportedFeatures"):
                if part.get(key):
                    click.echo(f"    {key}: {', '.join(part[key])}")
            for check in part["failedTests"]:
                click.echo(f"    failed: {check}")


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Check that what a report sums up follows from its checks; exit code 1 when it does not."""
    data = _read(file)
    found = problems(data)
    for line in found:
        click.echo(f"{file}: {line}", err=True)
    if found:
        raise SystemExit(1)
    click.echo(f"{file}: {len(data['tests'])} checks, the report holds together")


def _read(file: Path) -> Json:
    try:
        data = documents.load(file.read_text(), source=str(file))
    except documents.DocumentError as error:
        raise click.ClickException(str(error)) from error
    if not isinstance(data, dict) or data.get("apiVersion") != API_VERSION or data.get("kind") != "ConformanceReport":
        raise click.ClickException(f"{file}: no ConformanceReport of {API_VERSION}")
    return data
