"""Writes docs/mutants.md from the catalogue and from what runs said: ``page.py RESULTS.json... --ran TEXT``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent))

import matrix
import patching
import reasons
import running

PAGE = running.ROOT / "docs" / "mutants.md"
_LAYERS = {
    "reference": "Of the reference control plane, its agent and its injector",
    "proxy": "Of what passes between any control plane and its proxies",
    "harness": "Of the harness itself",
}

_ON_TIME = (
    "Each mutant has a cluster of its own: what a broken control plane wrote (roots, patches, leaves, routes) must not be there when the next",
    f"one is judged. That is some 4 s of each mutant's time; a check that waits for what never comes takes more than {matrix.LONG_SECONDS:.0f} s all the same.",
)
_BEHIND = (
    "`python tests/mutants/matrix.py --layer proxy --behind FILE` puts the mutating proxy before another mesh than the reference, by its",
    "implementation file: one that prints its manifests (`install.manifests_command`), names the Secret of its authority",
    "(`identity.root_secret`) and has one Service with port 15012. What cannot be had of a mesh is listed as `not run: reason`, and so is a mutant",
    "whose checks do not look there (not applicable, skipped, or a broken machine). The exit code is 1 when one survives, and 10 when none does",
    "and not all ran.",
    "",
)
_WORDS = {reasons.NOT_CONVERGED, reasons.FIXTURE}

Results = Mapping[str, running.Run]


def page(catalogue: Mapping[str, patching.Mutant], results: Results, ran: str) -> str:
    """Give the page; ``ran`` says when and where the results were had."""
    mutants = list(catalogue.values())
    wanted = [one for one in mutants if not one.equivalent]
    unrun = [one for one in wanted if one.id not in results or matrix.not_run(one, results[one.id])]
    killed = [one for one in wanted if one not in unrun and not matrix.survivors(one, results[one.id])]
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
        *_kinds(killed, results),
        *_pushes(wanted, results),
        *_ON_TIME,
        f"{sum(run.seconds > matrix.LONG_SECONDS for run in results.values())} of {len(results)} took longer than that then.",
        "",
        *_BEHIND,
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


def _kinds(killed: Sequence[patching.Mutant], results: Results) -> list[str]:
    """Tell how many failures were of which kind; runs of the project's own tests are not counted."""
    failed = [
        (one.id, results[one.id].kinds.get(check, reasons.ASSERTION))
        for one in killed
        if one.layer != "harness"
        for check, verdict in results[one.id].verdicts.items()
        if verdict == "failed"
    ]
    if not failed:
        return []
    counts = Counter(kind for _, kind in failed)
    by = {kind: sorted({name for name, of in failed if of == kind}) for kind in counts}
    others = [
        f"{counts[kind]} {kind} ({_names(by[kind])})" for kind in sorted(set(counts) - {reasons.ASSERTION, *_WORDS})
    ]
    lines = [
        f"Whatever the reason, a declared check that fails kills its mutant. Of {len(failed)} such failures of the suite {counts[reasons.ASSERTION]} are",
        f"assertions of what a check saw. {counts[reasons.NOT_CONVERGED]} are marked *not converged*: the check waited for what a right mesh does, said what, and it never",
        f"came, which is the mutant's own fault ({_names(by.get(reasons.NOT_CONVERGED, []))}).",
        f"{counts[reasons.FIXTURE]} are marked *fixture*: the workloads never stood, so the check's own lines did not run ({_names(by.get(reasons.FIXTURE, []))}).",
    ]
    return [*lines, *([f"And of other exceptions: {'; '.join(others)}."] if others else []), ""]


def _names(mutants: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in mutants) or "none"


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
    if why := matrix.not_run(one, run):
        return f"| `{one.id}` | {one.row} | {one.says}{seed} | not run: {why} | |"
    failed = [check for check, verdict in run.verdicts.items() if verdict == "failed"]
    alive = matrix.survivors(one, run)
    word = f"survives {_checks(one.kills)}" if alive else _checks(failed, run.kinds)
    return f"| `{one.id}` | {one.row} | {one.says}{seed} | {word} | {run.seconds:.0f} |"


def _checks(checks: Sequence[str], kinds: Mapping[str, str] | None = None) -> str:
    told = []
    for check in checks:
        kind = (kinds or {}).get(check, reasons.ASSERTION)
        name = check.partition("::")[2].removeprefix("test_").replace("|", "\\|")
        told.append(f"`{name}`" + ("" if kind == reasons.ASSERTION else f" (*{kind}*)"))
    return ", ".join(told)


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
