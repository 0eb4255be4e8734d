"""``make mutants``: run each mutant's declared checks (``--full``: the whole suite) and print which checks fail by which.

The same checks run against the reference as it is first: a check that fails there as well says nothing of a mutant.
Exit 1 when that fails, when a declared check survives its mutant, or when some check of the suite is declared by none.
The report is JSON: mutant -> check -> verdict and message.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import yaml

sys.path.insert(0, str(Path(__file__).parent))

import patching

ROOT = Path(__file__).parents[2]
SUITE = "conformance/mesh_conformance"
_REFERENCE = ROOT / "pytest_mesh" / "implementations" / "reference.toml"
_RUN_SECONDS = 1200

Verdicts = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of the suite said."""

    verdicts: Verdicts
    messages: dict[str, str]
    pushes: int
    """Of a property, to find and shrink; 0 = none ran."""


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
    matrix: dict[str, Run] = {}
    wanted = sorted({check for mutant in chosen for check in mutant.kills})
    sound = _run(_REFERENCE, checks if full else wanted, cluster_name=cluster_name)
    broken = [check for check in wanted if sound.verdicts.get(check) != "passed"]
    if broken:
        said = "".join(f"\n  {check}: {sound.verdicts.get(check)}: {sound.messages.get(check, '')}" for check in broken)
        raise click.ClickException(f"the reference itself does not pass:{said}")
    click.echo(f"{'(the reference)':34} {'':13} passes {len(wanted)} checks")
    survived = []
    for mutant in chosen:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mesh-mutant-") as directory:
            file = Path(directory) / f"{mutant.id}.toml"
            file.write_text(implementation(mutant))
            run = matrix[mutant.id] = _run(file, checks if full else list(mutant.kills), cluster_name=cluster_name)
        verdicts, pushes = run.verdicts, run.pushes
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
    path.write_text(json.dumps({name: asdict(run) for name, run in matrix.items()}, indent=1, sort_keys=True))
    killed = {name: run.verdicts for name, run in matrix.items()} if full else declared(catalogue.values())
    useless = [] if names else useless_checks(checks, killed)
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


def declared(mutants: Iterable[patching.Mutant]) -> dict[str, Verdicts]:
    """Give the matrix that the catalogue claims."""
    return {one.id: dict.fromkeys(one.kills, "failed") for one in mutants}


def useless_checks(checks: list[str], matrix: dict[str, Verdicts]) -> list[str]:
    """Give the checks that no mutant makes fail."""
    killing = {check for verdicts in matrix.values() for check, verdict in verdicts.items() if verdict == "failed"}
    return [check for check in checks if check not in killing]


def _run(file: Path, checks: list[str], *, cluster_name: str) -> Run:
    with tempfile.TemporaryDirectory(prefix="mesh-mutant-run-") as directory:
        report = Path(directory) / "report.yaml"
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", *(f"{SUITE}/{check}" for check in checks), "-q", "-p", "no:cacheprovider",
                f"--mesh-implementation={file}", f"--mesh-report={report}", "--mesh-fresh",
                f"--mesh-cluster-name={cluster_name}", f"--mesh-artifacts={directory}/artifacts",
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=_RUN_SECONDS,
            env={**os.environ, "MESH_EXTENDED": "1"},
        )  # fmt: skip
        if not report.exists():
            raise click.ClickException(f"{file}: no report: {done.stdout[-3000:]}{done.stderr[-2000:]}")
        tests = yaml.safe_load(report.read_text())["tests"]
    return Run(
        verdicts={short(one["id"]): one["verdict"] for one in tests},
        messages={short(one["id"]): one["message"] for one in tests if "message" in one},
        pushes=max((one["evidence"].get("pushes", 0) for one in tests), default=0),
    )


def implementation(mutant: patching.Mutant) -> str:
    """Give the reference's implementation file with the mutant in every one of its programs."""
    text = _REFERENCE.read_text()
    plain, runner = '"-m", "mesh_reference.cli"', f'"{Path(__file__).with_name("run.py")}", "{mutant.id}"'
    if text.count(plain) < 4:
        raise patching.MutantError(f"{_REFERENCE}: {plain} stands {text.count(plain)} times, 4 are wanted at least")
    return text.replace(plain, runner)


if __name__ == "__main__":
    main()
