"""Runs the whole differential run against Istio and, when it passed, records that it held today's oracle: ``make confirm``.

It writes the constants of ``pytest_mesh/oracle/confirmation.py`` and commits nothing. A run that failed, skipped a check,
or during which the oracle changed leaves the record as it is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click

from pytest_mesh.confirming import digest
from pytest_mesh.oracle import confirmation

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "pytest_mesh" / "oracle" / "confirmation.py"
FIGURES = ROOT / ".mesh" / "differential.json"
CASES = ROOT / ".mesh" / "differential.xml"
_OF_ONE_GROUP = 10
"""Cells of the run for one group of rivals."""
_PSEUDO_VERSION = re.compile(r"v[\d.]+-(?:0\.)?\d{14}-(?P<commit>[0-9a-f]{7})[0-9a-f]*")


def objections(figures: Mapping[str, Any], cases: ET.Element) -> list[str]:
    """Say why a run confirms nothing; empty where it does. Pure."""
    found = []
    totals = {key: sum(int(one.get(key, 0)) for one in cases.iter("testsuite")) for key in _COUNTED}
    if not totals["tests"] or any(totals[key] for key in _COUNTED[1:]):
        found.append("not every check passed: " + ", ".join(f"{number} {key}" for key, number in totals.items()))
    if list(figures["meshes"]) != ["reference", "istio"]:
        found.append(f"the meshes were {figures['meshes']}, not the reference and istio")
    if figures["cells"] != figures["of"] or figures["cells"] < confirmation.WANTED:
        found.append(f"{figures['cells']} of {figures['of']} cells were run, {confirmation.WANTED} are wanted")
    found += [f"{figures[key]} requests are {key}" for key in ("unexplained", "undecided") if figures[key]]
    return found


_COUNTED = ("tests", "failures", "errors", "skipped")


def constants(figures: Mapping[str, Any], *, istio: str, date: str, commit: str, oracle: str) -> dict[str, str | int]:
    """Give the record of a run by the constants' names. Pure."""
    return {
        "ISTIO": istio,
        "CELLS": figures["cells"],
        "JUDGED": figures["judgedByTheOracle"],
        "BINDINGS": figures["cells"] // _OF_ONE_GROUP,
        "DATE": date,
        "COMMIT": commit,
        "DIGEST": oracle,
    }


def written(text: str, values: Mapping[str, str | int]) -> str:
    """Give the record's module with other values. Pure; raises ``ValueError`` for a constant that it does not have."""
    for name, value in values.items():
        told = f'"{value}"' if isinstance(value, str) else str(value)
        text, number = re.subn(rf"(?m)^{name} = .*$", f"{name} = {told}", text)
        if number != 1:
            raise ValueError(f"{RECORD.name}: {name} stands there {number} times")
    return text


def version_of(told: str) -> str:
    """Give Istio's version from what ``go version -m`` says: ``master-COMMIT``, or the release. Pure."""
    found = re.search(r"\bmod\s+istio\.io/istio\s+(\S+)", told)
    if found is None:
        raise ValueError("it was not built from the module istio.io/istio")
    pseudo = _PSEUDO_VERSION.fullmatch(found[1])
    return f"master-{pseudo['commit']}" if pseudo else found[1]


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(f"{' '.join(command)}: {getattr(error, 'stderr', '') or error}") from error


@click.command()
@click.option("--cells", default=confirmation.WANTED, show_default=True)
@click.option(
    "--istio", help="Istio's version; default: what `go version -m` says of MESH_ISTIO_BIN's pilot-discovery."
)
@click.argument("arguments", nargs=-1)
def main(cells: int, istio: str | None, arguments: tuple[str, ...]) -> None:
    """Run `make differential`; ARGUMENTS go to pytest."""
    programs = os.environ.get("MESH_ISTIO_BIN")
    if not programs:
        raise click.ClickException("MESH_ISTIO_BIN names no directory of Istio's programs")
    try:
        version = istio or version_of(_said("go", "version", "-m", f"{programs}/pilot-discovery"))
    except ValueError as error:
        raise click.ClickException(f"{programs}/pilot-discovery: {error}: say --istio=VERSION") from error
    if changed := _said("git", "status", "--porcelain", "--", "pytest_mesh/oracle"):
        raise click.ClickException(f"the record names a commit: commit the oracle first\n{changed}")
    commit, before, began = _said("git", "rev-parse", "--short", "HEAD"), digest(), time.time()
    more = " ".join([*arguments, f"--junitxml={CASES}"])
    code = subprocess.run(["make", "differential", f"CELLS={cells}", f"ARGS={more}"], cwd=ROOT, check=False).returncode
    if code:
        raise click.ClickException(f"the differential run did not pass: {RECORD.name} is as it was")
    if not FIGURES.is_file() or FIGURES.stat().st_mtime < began:
        raise click.ClickException(f"the run wrote no {FIGURES}: leave --mesh-artifacts as it is")
    figures = json.loads(FIGURES.read_text())
    found = objections(figures, ET.parse(CASES).getroot())
    if before is None or digest() != before:
        found.append("the oracle changed while the run went on")
    if found:
        raise click.ClickException(f"{RECORD.name} is as it was: " + "; ".join(found))
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    values = constants(figures, istio=version, date=date, commit=commit, oracle=before or "")
    RECORD.write_text(written(RECORD.read_text(), values))
    click.echo(f"{RECORD.relative_to(ROOT)}: {', '.join(f'{name} {value}' for name, value in values.items())}")


if __name__ == "__main__":
    main()
