"""``make mutants``: run each mutant's declared checks (``--full``: the whole suite) and print which checks fail by which.

Exit 1 when a declared check survives its mutant, or when some check of the suite is declared by none. The report is
JSON: mutant -> check -> verdict.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import yaml

sys.path.insert(0, str(Path(__file__).parent))

import patching

ROOT = Path(__file__).parents[2]
SUITE = "conformance/mesh_conformance"
_REFERENCE = ROOT / "pytest_mesh" / "implementations" / "reference.toml"
_MUTANT_SECONDS = 600

Verdicts = dict[str, str]
Run = tuple[Verdicts, int]
"""Verdicts by check, and the pushes that a property took to find and shrink (0 = it ran none)."""


@click.command()
@click.argument("names", nargs=-1)
@click.option("--full", is_flag=True, help="Run the whole suite against each mutant.")
@click.option("--report", default=".mesh/mutants.json", show_default=True, type=click.Path(dir_okay=False))
@click.option("--cluster-name", default="mutants", show_default=True)
def main(names: tuple[str, ...], *, full: bool, report: str, cluster_name: str) -> None:
    """Run mutants (default: all) and judge the suite by them."""
    catalogue = patching.load()
    unknown = [name for name in names if name not in catalogue]
    if unknown:
        raise click.UsageError(f"no such mutant: {', '.join(unknown)}; there are: {', '.join(catalogue)}")
    chosen = [catalogue[name] for name in names] if names else list(catalogue.values())
    checks = collected()
    matrix: dict[str, Verdicts] = {}
    survived = []
    for mutant in chosen:
        started = time.monotonic()
        verdicts, pushes = _run(mutant, full=full, cluster_name=cluster_name)
        matrix[mutant.id] = verdicts
        alive = [check for check in mutant.kills if verdicts.get(check) != "failed"]
        survived += [(mutant.id, check, verdicts.get(check, "did not run")) for check in alive]
        word = "survives" if alive else "killed"
        killers = sum(verdict == "failed" for verdict in verdicts.values())
        click.echo(
            f"{mutant.id:34} {mutant.row:9} {word:9} by {killers} of {len(verdicts)} checks "
            f"in {time.monotonic() - started:4.1f} s{f', {pushes} pushes' if pushes else ''}"
        )
    path = ROOT / report
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(matrix, indent=1, sort_keys=True))
    useless = useless_checks(checks, matrix if full else declared(catalogue.values())) if not names else []
    for name, check, verdict in survived:
        click.echo(f"SURVIVES: {name}: {check} is {verdict}")
    for check in useless:
        click.echo(f"KILLS NOTHING: {check}")
    click.echo(
        f"{len(chosen)} mutants, {len({name for name, _, _ in survived})} survive; {len(useless)} useless checks"
    )
    sys.exit(1 if survived or useless else 0)


def collected() -> list[str]:
    """Give every check of the suite, as mutants name them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", SUITE, "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"the suite cannot be collected: {done.stdout}{done.stderr}")
    return [short(line) for line in done.stdout.splitlines() if "::" in line]


def short(check: str) -> str:
    """Give a check's name below the suite's directory."""
    return check.removeprefix(f"{SUITE}/").removeprefix("mesh_conformance/")


def declared(mutants: object) -> dict[str, Verdicts]:
    """Give the matrix that the catalogue claims."""
    return {one.id: dict.fromkeys(one.kills, "failed") for one in mutants}  # type: ignore[attr-defined]


def useless_checks(checks: list[str], matrix: dict[str, Verdicts]) -> list[str]:
    """Give the checks that no mutant makes fail."""
    killing = {check for verdicts in matrix.values() for check, verdict in verdicts.items() if verdict == "failed"}
    return [check for check in checks if check not in killing]


def _run(mutant: patching.Mutant, *, full: bool, cluster_name: str) -> Run:
    with tempfile.TemporaryDirectory(prefix="mesh-mutant-") as directory:
        file, report = Path(directory) / f"{mutant.id}.toml", Path(directory) / "report.yaml"
        file.write_text(implementation(mutant))
        checks = [SUITE] if full else [f"{SUITE}/{check}" for check in mutant.kills]
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", *checks, "-q", "-p", "no:cacheprovider",
                f"--mesh-implementation={file}", f"--mesh-report={report}", "--mesh-fresh",
                f"--mesh-cluster-name={cluster_name}", f"--mesh-artifacts={directory}/artifacts",
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=_MUTANT_SECONDS, env={**os.environ},
        )  # fmt: skip
        if not report.exists():
            raise click.ClickException(f"mutant {mutant.id}: no report: {done.stdout[-3000:]}{done.stderr[-2000:]}")
        data = yaml.safe_load(report.read_text())
    pushes = max((one["evidence"].get("pushes", 0) for one in data["tests"]), default=0)
    return {short(one["id"]): one["verdict"] for one in data["tests"]}, pushes


def implementation(mutant: patching.Mutant) -> str:
    """Give the reference's implementation file with the mutant in every one of its programs."""
    text = _REFERENCE.read_text()
    plain, runner = '"-m", "mesh_reference.cli"', f'"{Path(__file__).with_name("run.py")}", "{mutant.id}"'
    if text.count(plain) < 4:
        raise patching.MutantError(f"{_REFERENCE}: {plain} stands {text.count(plain)} times, 4 are wanted at least")
    return text.replace(plain, runner)


if __name__ == "__main__":
    main()
