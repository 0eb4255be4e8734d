"""``make mutants``: run each mutant's declared checks (``--full``: the whole suite) and print which checks fail by which.

The same checks run against what is not broken first: a check that fails there as
well says nothing of a mutant. Exit 1 when that fails, when a declared check
survives its mutant, when a mutant that is said to be equivalent is seen, or when
some check of the suite is declared by none. How a mutant is run is ``running``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

import patching
import running
from running import ROOT, Run

Verdicts = Mapping[str, str]


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
    suites = {"reference": running.REFERENCE.read_text, "proxy": lambda: running.behind_proxy(behind, "nothing")}
    _require_sound(
        chosen, {name: text for name, text in suites.items() if any(one.layer == name for one in chosen)}, cluster_name
    )
    checks = running.collected()
    matrix: dict[str, Run] = {}
    for mutant in chosen:
        if mutant.layer == "harness":
            run = running.harness([*mutant.kills, *mutant.spares], mutant=mutant.id)
        else:
            wanted = checks if full and mutant.kills else [*mutant.kills, *mutant.spares]
            proxied = mutant.layer == "proxy"
            text = running.behind_proxy(behind, mutant.id) if proxied else running.implementation(mutant)
            run = running.suite(wanted, text=text, name=mutant.id, cluster_name=cluster_name)
        matrix[mutant.id] = run
        _write(ROOT / report, matrix)  # after each: a run that is cut short keeps what it found
        click.echo(_line(mutant, run))
    if page:
        from page import PAGE
        from page import page as written

        PAGE.write_text(written(catalogue, matrix, page))
    _print_matrix(matrix)
    survived = [line for mutant in chosen for line in survivors(mutant, matrix[mutant.id])]
    whole = len(chosen) == len(catalogue)
    useless = useless_checks(checks, {name: run.verdicts for name, run in matrix.items()}) if whole else []
    for line in survived:
        click.echo(f"SURVIVES: {line}")
    for check in useless:
        click.echo(f"KILLS NOTHING: {check}")
    equivalent = sum(bool(mutant.equivalent) for mutant in chosen)
    click.echo(
        f"{len(chosen)} mutants: {len(chosen) - equivalent} to be killed, {equivalent} equivalent; "
        f"{len({line.split(':')[0] for line in survived})} are not as declared; {len(useless)} useless checks; "
        f"{time.monotonic() - started:.0f} s"
    )
    sys.exit(1 if survived or useless else 0)


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
        f"{mutant.id}: {check} is {run.verdicts.get(check, 'not run')}, declared {verdict}"
        for check, verdict in wanted.items()
        if run.verdicts.get(check) != verdict
    ]


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
) -> None:
    """End with what fails without any mutant; ``suites`` gives the file of each layer's mesh as it should be."""
    broken = []
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
            if sound.verdicts.get(check) != "passed"
        ]
        counts.append(f"{layer} {len(wanted)}")
    if broken:
        raise click.ClickException(f"what is not broken does not pass:{''.join(broken)}")
    click.echo(f"{'(not broken)':34} {'':13} passes {', '.join(counts)} checks")


def _line(mutant: patching.Mutant, run: Run) -> str:
    word = "equivalent" if mutant.equivalent else "killed"
    word = "SURVIVES" if survivors(mutant, run) else word
    killers = sum(verdict == "failed" for verdict in run.verdicts.values())
    pushes = f", found in {run.found}, found and shrunk in {run.pushes} pushes" if run.pushes else ""
    return (
        f"{mutant.id:34} {mutant.row:13} {word:10} by {killers} of {len(run.verdicts)} in {run.seconds:4.1f} s{pushes}"
    )


def _print_matrix(matrix: Mapping[str, Run]) -> None:
    """Print each check with the mutants that it kills."""
    kills: dict[str, list[str]] = {}
    for name, run in matrix.items():
        for check, verdict in run.verdicts.items():
            if verdict == "failed":
                kills.setdefault(check, []).append(name)
    click.echo("check: mutants that it kills")
    for check in sorted(kills):
        click.echo(f"  {check}: {', '.join(kills[check])}")


if __name__ == "__main__":
    main()
