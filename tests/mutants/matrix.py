"""``make mutants``: run each mutant's declared checks (``--full``: the whole suite) and print which checks fail by which.

The same checks run against what is not broken first: a check that fails there as
well says nothing of a mutant. Exit 1 when that fails, when a declared check
survives its mutant, when a mutant that is said to be equivalent is seen, or when
some check of the suite is declared by none; 10 when nothing survived and not
everything could be run. How a mutant is run is ``running``.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

import patching
import running
from reasons import ASSERTION
from running import ROOT, Run

Verdicts = Mapping[str, str]

UNJUDGED = frozenset({"not-applicable", "skipped", "infrastructure", "not run"})
"""Verdicts that say nothing of a mutant: the check did not look."""
EXIT_NOT_ALL = 10
LONG_SECONDS = 20.0


@click.command()
@click.argument("names", nargs=-1)
@click.option("--full", is_flag=True, help="Run the whole suite against each mutant of the reference.")
@click.option("--layer", type=click.Choice(patching.LAYERS), help="Mutants of one layer only.")
@click.option("--part", metavar="I/N", default="1/1", show_default=True, help="Each N-th mutant from the I-th on.")
@click.option("--report", default=".mesh/mutants.json", show_default=True, type=click.Path(dir_okay=False))
@click.option("--cluster-name", default="mutants", show_default=True)
@click.option("--page", default="", metavar="SENTENCE", help="Write docs/mutants.md; the sentence says when and where.")
@click.option(
    "--behind",
    default=str(running.REFERENCE),
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Implementation file of the mesh behind the mutating proxy (default: the reference's).",
)
def main(
    names: tuple[str, ...],
    *,
    full: bool,
    layer: str | None,
    part: str,
    report: str,
    cluster_name: str,
    page: str,
    behind: Path,
) -> None:
    """Run mutants (default: all) and judge the suite by them."""
    catalogue = patching.load()
    unknown = [name for name in names if name not in catalogue]
    if unknown:
        raise click.UsageError(f"no such mutant: {', '.join(unknown)}; there are: {', '.join(catalogue)}")
    chosen = [one for one in catalogue.values() if one.id in names or not names]
    chosen = part_of([one for one in chosen if layer in {None, one.layer}], part)
    started = time.monotonic()
    checks = running.collected()
    matrix: dict[str, Run] = {one.id: Run(not_run=why) for one in chosen if (why := _out_of_reach(one, behind))}
    within = [one for one in chosen if one.id not in matrix]
    suites = {"reference": running.REFERENCE.read_text, "proxy": lambda: running.behind_proxy(behind, "nothing")}
    unjudged = _require_sound(within, suites, cluster_name)
    for mutant in chosen:
        wanted = [*mutant.kills, *mutant.spares]
        if mutant.id not in matrix and all(check in unjudged for check in wanted):
            matrix[mutant.id] = Run(not_run=f"{wanted[0]} is {unjudged[wanted[0]]}")
        if mutant.id not in matrix:
            if mutant.layer == "harness":
                run = running.harness(wanted, mutant=mutant.id)
            else:
                proxied = mutant.layer == "proxy"
                text = running.behind_proxy(behind, mutant.id) if proxied else running.implementation(mutant)
                asked = checks if full and mutant.kills else wanted
                run = running.suite(asked, text=text, name=mutant.id, cluster_name=cluster_name)
            matrix[mutant.id] = run
        _write(ROOT / report, matrix)  # after each: a run that is cut short keeps what it found
        click.echo(_line(mutant, matrix[mutant.id]))
    if page:
        from page import PAGE
        from page import page as written

        PAGE.write_text(written(catalogue, matrix, page))
    _print_matrix(matrix)
    survived = [line for mutant in chosen for line in survivors(mutant, matrix[mutant.id])]
    whole = len(chosen) == len(catalogue)
    unrun = {mutant.id: why for mutant in chosen if (why := not_run(mutant, matrix[mutant.id]))}
    useless = useless_checks(checks, {name: run.verdicts for name, run in matrix.items()}) if whole else []
    unasked = {check for mutant in chosen if mutant.id in unrun for check in mutant.kills}
    useless = [check for check in useless if check not in unasked]
    for line in survived:
        click.echo(f"SURVIVES: {line}")
    for name, why in unrun.items():
        click.echo(f"not run: {name}: {why}")
    for check in useless:
        click.echo(f"KILLS NOTHING: {check}")
    equivalent = sum(bool(mutant.equivalent) for mutant in chosen)
    long = sum(run.seconds > LONG_SECONDS for run in matrix.values())
    click.echo(
        f"{len(chosen)} mutants: {len(chosen) - equivalent} to be killed, {equivalent} equivalent; "
        f"{len({line.split(':')[0] for line in survived})} are not as declared; {len(unrun)} not run; "
        f"{len(useless)} useless checks; {long} took more than {LONG_SECONDS:g} s; {time.monotonic() - started:.0f} s"
    )
    sys.exit(1 if survived or useless else EXIT_NOT_ALL if unrun else 0)


def _out_of_reach(mutant: patching.Mutant, behind: Path) -> str:
    """Say why a mutant cannot be had of this mesh; empty = it can."""
    if mutant.layer == "proxy":
        try:
            running.behind_proxy(behind, mutant.id)
        except patching.MutantError as error:
            return str(error)
    return ""


def part_of(mutants: Sequence[patching.Mutant], part: str) -> list[patching.Mutant]:
    """Give each N-th mutant from the I-th on, of a part ``I/N``: the N parts together are all of them."""
    first, slash, number = part.partition("/")
    if not (slash and first.isdecimal() and number.isdecimal() and 1 <= int(first) <= int(number)):
        raise click.UsageError(f"--part {part}: I/N is wanted, with I of 1 to N")
    return list(mutants[int(first) - 1 :: int(number)])


def survivors(mutant: patching.Mutant, run: Run) -> list[str]:
    """Say which checks did not do what the catalogue declares of a mutant."""
    wanted = {**dict.fromkeys(mutant.kills, "failed"), **dict.fromkeys(mutant.spares, "passed")}
    return [
        f"{mutant.id}: {check} is {found}, declared {verdict}"
        for check, verdict in wanted.items()
        if not run.not_run and (found := run.verdicts.get(check, "not run")) != verdict and found not in UNJUDGED
    ]


def not_run(mutant: patching.Mutant, run: Run) -> str:
    """Say why a mutant was not judged, or not by every check that the catalogue declares; empty = it was."""
    if run.not_run:
        return run.not_run
    for check in (*mutant.kills, *mutant.spares):
        verdict = run.verdicts.get(check, "not run")
        if verdict in UNJUDGED:
            return f"{check} is {verdict}{_because(run, check)}"
    return ""


def _because(run: Run, check: str) -> str:
    first = run.messages.get(check, "").partition("\n")[0]
    return f": {first}" if first else ""


def declared(mutants: Iterable[patching.Mutant]) -> dict[str, Verdicts]:
    """Give the matrix that the catalogue claims."""
    return {one.id: dict.fromkeys(one.kills, "failed") for one in mutants}


def useless_checks(checks: Sequence[str], matrix: Mapping[str, Verdicts]) -> list[str]:
    """Give the checks that no mutant makes fail."""
    killing = {check for verdicts in matrix.values() for check, verdict in verdicts.items() if verdict == "failed"}
    return [check for check in checks if check not in killing]


def _write(path: Path, matrix: Mapping[str, Run]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {name: {**asdict(run), "output": ""} for name, run in matrix.items()}
    path.write_text(json.dumps(found, indent=1, sort_keys=True))


def _require_sound(
    chosen: Sequence[patching.Mutant], suites: Mapping[str, Callable[[], str]], cluster_name: str
) -> dict[str, str]:
    """End with what fails without any mutant, and give the checks that say nothing there, each with its verdict and why.

    ``suites`` gives the file of each layer's mesh as it should be.
    """
    broken = []
    unjudged: dict[str, str] = {}
    counts = []
    for layer in patching.LAYERS:
        wanted = sorted({check for one in chosen if one.layer == layer for check in (*one.kills, *one.spares)})
        if not wanted:
            continue
        if layer == "harness":
            sound = running.harness(wanted, mutant="")
        else:
            sound = running.suite(wanted, text=suites[layer](), name=f"{layer}-as-it-is", cluster_name=cluster_name)
        broken += [
            f"\n  {layer}: {check}: {sound.verdicts.get(check)}: {sound.messages.get(check, '')}"
            for check in wanted
            if sound.verdicts.get(check, "not run") not in {"passed", *UNJUDGED}
        ]
        silent = [check for check in wanted if sound.verdicts.get(check, "not run") in UNJUDGED]
        unjudged |= {check: f"{sound.verdicts.get(check, 'not run')}{_because(sound, check)}" for check in silent}
        counts.append(f"{layer} {len(wanted) - len(silent)} of {len(wanted)}")
    if broken:
        raise click.ClickException(f"what is not broken does not pass:{''.join(broken)}")
    if counts:
        click.echo(f"{'(not broken)':34} {'':13} passes {', '.join(counts)} checks")
    return unjudged


def _line(mutant: patching.Mutant, run: Run) -> str:
    word = "equivalent" if mutant.equivalent else "killed"
    if survivors(mutant, run):
        word = "SURVIVES"
    elif why := not_run(mutant, run):
        return f"{mutant.id:34} {mutant.row:13} not run: {why}"
    killers = sum(verdict == "failed" for verdict in run.verdicts.values())
    pushes = f", found in {run.found}, found and shrunk in {run.pushes} pushes" if run.pushes else ""
    kinds = Counter(run.kinds.values())
    told = f" ({', '.join(f'{number} {kind}' for kind, number in kinds.items())})" if kinds else ""
    return f"{mutant.id:34} {mutant.row:13} {word:10} by {killers} of {len(run.verdicts)}{told} in {run.seconds:4.1f} s{pushes}"


def _print_matrix(matrix: Mapping[str, Run]) -> None:
    """Print each check with the mutants that it kills."""
    kills: dict[str, list[str]] = {}
    for name, run in matrix.items():
        for check, verdict in run.verdicts.items():
            if verdict == "failed":
                kind = run.kinds.get(check, ASSERTION)
                kills.setdefault(check, []).append(name if kind == ASSERTION else f"{name} ({kind})")
    click.echo("check: mutants that it kills")
    for check in sorted(kills):
        click.echo(f"  {check}: {', '.join(kills[check])}")


if __name__ == "__main__":
    main()
