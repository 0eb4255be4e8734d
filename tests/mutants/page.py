"""Writes docs/mutants.md from the catalogue and from what runs said: ``page.py RESULTS.json... --ran TEXT``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent))

import matrix
import patching
import running

PAGE = running.ROOT / "docs" / "mutants.md"
_LAYERS = {
    "reference": "Of the reference control plane, its agent and its injector",
    "proxy": "Of what passes between any control plane and its proxies",
    "harness": "Of the harness itself",
}

Results = Mapping[str, running.Run]


def page(catalogue: Mapping[str, patching.Mutant], results: Results, ran: str) -> str:
    """Give the page; ``ran`` says when and where the results were had."""
    mutants = list(catalogue.values())
    wanted = [one for one in mutants if not one.equivalent]
    killed = [one for one in wanted if one.id in results and not matrix.survivors(one, results[one.id])]
    unrun = [one for one in wanted if one.id not in results]
    survive = len(wanted) - len(killed) - len(unrun)
    lines = [
        "# Broken meshes: what the suite finds",
        "",
        "Written by `tests/mutants/page.py` from the catalogue and a run of `make mutants`; not by hand.",
        "",
        ran,
        f"{len(mutants)} mutants: {len(wanted)} to be killed, of which {len(killed)} are killed, {survive} survive and {len(unrun)} were not",
        f"run then; {len(mutants) - len(wanted)} equivalent. Each mutant runs the checks that it is declared to be killed by",
        "(`make mutants`), or the whole suite (`--full`; a seventh of them each night). A check that no mutant kills fails the target.",
        "",
        *_pushes(wanted, results),
    ]
    for layer, title in _LAYERS.items():
        lines += [f"## {title}", "", "| mutant | row | what is wrong | killed by | s |", "|---|---|---|---|---|"]
        lines += [_row(one, results.get(one.id)) for one in wanted if one.layer == layer]
        lines.append("")
    lines += [
        "## Equivalent",
        "",
        "| mutant | what is other | why nobody can see it | left as they are |",
        "|---|---|---|---|",
    ]
    for one in mutants:
        if one.equivalent:
            lines.append(f"| `{one.id}` | {one.says} | {one.equivalent} | {_checks(one.spares)} |")
    return "\n".join([*lines, ""])


def _pushes(wanted: Sequence[patching.Mutant], results: Results) -> list[str]:
    shrunk = {one.id: results[one.id] for one in wanted if one.id in results and results[one.id].pushes}
    if not shrunk:
        return []
    all_of_it = [run.pushes for run in shrunk.values()]
    found = [run.found for run in shrunk.values() if run.found]
    told = f"found in {max(found)} pushes at most, and " if found else ""
    each = ", ".join(f"`{name}` {run.found or '-'}/{run.pushes}" for name, run in sorted(shrunk.items()))
    return [
        f"Of {len(shrunk)} mutants whose wrong route was found among generated cells and made small, each was {told}found and",
        f"made small in {max(all_of_it)} pushes at most ({sum(all_of_it) / len(all_of_it):.1f} in the mean). Pushes to find, and to find and",
        f"shrink: {each}.",
        "",
    ]


def _row(one: patching.Mutant, run: running.Run | None) -> str:
    seed = f" ({one.seed})" if one.seed else ""
    if run is None:
        return f"| `{one.id}` | {one.row} | {one.says}{seed} | not run: {_checks(one.kills)} | |"
    failed = [check for check, verdict in run.verdicts.items() if verdict == "failed"]
    alive = matrix.survivors(one, run)
    word = f"survives {_checks(one.kills)}" if alive else _checks(failed)
    return f"| `{one.id}` | {one.row} | {one.says}{seed} | {word} | {run.seconds:.0f} |"


def _checks(checks: Sequence[str]) -> str:
    shown = [check.partition("::")[2].removeprefix("test_").replace("|", "\\|") for check in checks]
    return ", ".join(f"`{one}`" for one in shown)


def read(path: Path) -> dict[str, running.Run]:
    """Read what ``matrix.py --report`` wrote."""
    data: dict[str, Any] = json.loads(path.read_text())
    return {name: running.Run(**run) for name, run in data.items()}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ran", required=True, help="A sentence: when and where.")
def main(files: tuple[Path, ...], ran: str) -> None:
    """Write the page from the results of one run, or of one for each layer."""
    results: dict[str, running.Run] = {}
    for path in files:
        results |= read(path)
    PAGE.write_text(page(patching.load(), results, ran))


if __name__ == "__main__":
    main()
