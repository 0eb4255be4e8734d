"""``pytest-mesh report``: show, verify, compare, merge and draw ConformanceReports.

Exit codes: 0 fine; 1 what the command looks for was found (a report that does
not hold together, a regression); 4 a file that is no report, or not of this version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import click

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.report import difference, merging, page
from pytest_mesh.report.model import API_VERSION
from pytest_mesh.report.verification import problems

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_UNREADABLE = 4


@click.group()
def command() -> None:
    """Read ConformanceReports, as --mesh-report writes them.

    \b
    Example:
      pytest --mesh-cluster=kind --mesh-report=today.yaml
      pytest-mesh report diff last-week.yaml today.yaml
    """  # noqa: D301 - click's mark for text that is not to be wrapped


@command.command()
@click.argument("file", type=_FILE)
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
        for check in profile.get("provisional", {}).get("failedTests", ()):
            click.echo(f"  provisional, failed: {check}")
        for one in profile["waivedTests"]:
            click.echo(f"  waived: {one['id']}: {one['reason']}")


@command.command()
@click.argument("file", type=_FILE)
def verify(file: Path) -> None:
    """Check that what a report sums up follows from its checks; exit code 1 when it does not."""
    data = _read(file)
    found = problems(data)
    for line in found:
        click.echo(f"{file}: {line}", err=True)
    if found:
        raise SystemExit(1)
    click.echo(f"{file}: {len(data['tests'])} checks, the report holds together")


@command.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@click.option(
    "--slower",
    type=click.FloatRange(min=1),
    default=difference.SLOWER,
    show_default=True,
    help="Factor by which waiting for configuration may grow.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def diff(before: Path, after: Path, slower: float, output: str) -> None:
    """List what became worse from BEFORE to AFTER, then what else changed; exit code 1 for a regression.

    A regression is a feature that is no longer supported, a new failure, a
    check that is gone, waived or no longer proven, a claim with a larger delta or
    alpha, and configuration that takes longer to reach the proxies.
    """
    found = difference.differences(_sound(before), _sound(after), slower=slower)
    worse = difference.regressions(found)
    if output == "json":
        click.echo(json.dumps([one.to_json() for one in found], indent=2))
    else:
        for one in found:
            mark = click.style("-", fg="red") if one.regression else click.style("+", fg="green")
            click.echo(f"{mark} {one.kind}: {one.subject}: {one.text}")
        others = len(found) - len(worse)
        click.echo(f"{len(worse)} regressions, {others} other differences")
    if worse:
        raise SystemExit(1)


@command.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option(
    "-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output."
)
def merge(files: tuple[Path, ...], target: Path | None) -> None:
    """Put the reports of the shards of one run (--mesh-shard) together.

    All shards must be there, of the same mesh, suite and seed; exit code 1 when they do not belong together.
    """
    try:
        merged = merging.merge([_sound(file) for file in files])
    except merging.MergeError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None
    text = documents.write(merged)
    if target is None:
        click.echo(text, nl=False)
    else:
        target.write_text(text)
        click.echo(f"{target}: {len(merged['tests'])} checks of {len(files)} reports")


@command.command()
@click.argument("file", type=_FILE)
@click.option(
    "-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="Default: FILE with .html."
)
def html(file: Path, target: Path | None) -> None:
    """Make one page of a report that needs no network and no other file.

    Evidence of failures is put on it from where the report says that it lies,
    if it is still there; a relative path counts from the report's directory.
    """
    data = _sound(file)
    path = target or file.with_suffix(".html")
    path.write_text(page.render(data, page.read_files(file.absolute().parent)))
    click.echo(f"{path}: {len(data['tests'])} checks")


def _sound(file: Path) -> Json:
    """Read a report that holds together: from one that does not, nothing follows."""
    data = _read(file)
    found = problems(data, described=False)
    if found:
        _refuse(f"{file}: {found[0]} (pytest-mesh report verify lists all)")
    return data


def _read(file: Path) -> Json:
    try:
        data = documents.load(file.read_text(), source=str(file))
    except UnicodeDecodeError as error:
        _refuse(f"{file}: not YAML: byte {error.start} is not UTF-8")
    except documents.DocumentError as error:
        _refuse(str(error))
    if not isinstance(data, dict) or data.get("kind") != "ConformanceReport":
        _refuse(f"{file}: no ConformanceReport")
    if data.get("apiVersion") != API_VERSION:
        _refuse(f"{file}: apiVersion: is {data.get('apiVersion')!r}, this version reads {API_VERSION}")
    return data


def _refuse(text: str) -> NoReturn:
    click.echo(text, err=True)
    raise SystemExit(_UNREADABLE)
