"""Writes docs/failures.md: for one broken mesh of each profile the failure as it is printed. Runs each mutant: ``failures.py``.

``failures.py --check`` (``make failures``) writes nothing: it holds the page against what is printed, but for
what every run has otherwise (numbers, and the names that a run makes up).
"""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

import patching
import running

PAGE = running.ROOT / "docs" / "failures.md"
_LONG = 30
"""Lines of one failure at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One mutant that the page shows, and the check that finds it."""

    profile: str
    mutant: str
    check: str


SHOWN = (
    Shown(
        profile="ISTIO-ROUTING",
        mutant="weights-all-equal",
        check="routing/test_seed.py::test_weights_share_out_the_requests_within_five_points",
    ),
    Shown(
        profile="ISTIO-ROUTING",
        mutant="without-headers-ignored",
        check="properties/test_cells.py::test_generated_routes_do_what_the_model_says",
    ),
    Shown(
        profile="MESH-INJECTION",
        mutant="ports-forgotten",
        check="injection/test_generated_pods.py::test_nothing_that_the_user_wrote_is_lost_or_changed",
    ),
    Shown(
        profile="MESH-IDENTITY",
        mutant="svid-of-another-namespace",
        check="identity/test_svid.py::test_the_svid_names_the_workload_and_nothing_else[vault]",
    ),
    Shown(
        profile="MESH-VALIDATION",
        mutant="duplicate-hosts-taken",
        check="validation/test_rejects_invalid.py::test_an_invalid_virtual_service_is_refused_with_what_is_wrong[duplicate_host-hosts]",
    ),
)


def story(output: str) -> list[str]:
    """Give the lines of a failure that say what is wrong: pytest's ``E`` lines, and the mesh's own section."""
    told = [line for line in output.splitlines() if re.match(r"E( |$)", line)]
    _, found, after = output.partition("- mesh -")
    section = []
    for line in after.splitlines()[1:] if found else ():
        if line.startswith(("====", "____", "----")):
            break
        section.append(line)
    kept = told if len(told) <= _LONG else [*told[:_LONG], f"...  ({len(told) - _LONG} lines more)"]
    return [_plain(line) for line in (*kept, *section)]


def _plain(line: str) -> str:
    """Take out what another run has otherwise: paths of this run."""
    line = re.sub(r"/tmp/mesh-mutant-\w+/", "", line)
    line = re.sub(r" --mesh-(artifacts|report|cluster-name)=\S+", "", line)
    return line.replace(f"{running.ROOT}/", "").rstrip()


def page(stories: dict[str, list[str]]) -> str:
    """Give the page of these stories, by mutant."""
    catalogue = patching.load()
    lines = [
        "# What a failure looks like",
        "",
        "Written by `tests/mutants/failures.py`, which breaks the reference and runs the check; not by hand. A run of a broken",
        "mesh ends with exit code 1, the table, and for each failed check what stands here.",
    ]
    for one in SHOWN:
        mutant = catalogue[one.mutant]
        lines += ["", f"## {one.profile}: {mutant.says}", "", f"Mutant `{one.mutant}`, check `{one.check}`:", "", "```"]
        lines += [*stories[one.mutant], "```"]
    return "\n".join([*lines, ""])


def differences(shown: str, printed: str) -> list[str]:
    """Give what a page shows otherwise than it is printed, as a diff; numbers and made up names are the same as any other."""
    before, after = (_numberless(text).splitlines() for text in (shown, printed))
    return list(difflib.unified_diff(before, after, "docs/failures.md", "printed", lineterm="", n=1))


def _numberless(text: str) -> str:
    text = re.sub(r"\b(mesh-[a-z-]+|test_[\w-]+)-[0-9a-f]{6}\b", r"\1-X", text)
    text = re.sub(r"cells/[0-9a-f]{12}", "cells/X", text)
    text = re.sub(r"(?m)^oracle: .*$", "oracle: X", text)  # its standing, which changes with it
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "N", text)


@click.command()
@click.option("--cluster-name", default="mutants", show_default=True)
@click.option("--check", is_flag=True, help="Hold the page against what is printed; write nothing.")
def main(cluster_name: str, *, check: bool) -> None:
    """Run the mutants and write the page."""
    catalogue = patching.load()
    stories = {}
    for one in SHOWN:
        mutant = catalogue[one.mutant]
        run = running.suite([one.check], text=running.implementation(mutant), name=mutant.id, cluster_name=cluster_name)
        if run.verdicts.get(one.check) != "failed":
            raise click.ClickException(
                f"{one.mutant}: {one.check} is {run.verdicts.get(one.check)}\n{run.output[-2000:]}"
            )
        stories[one.mutant] = story(run.output)
    if not check:
        PAGE.write_text(page(stories))
        return
    found = differences(PAGE.read_text(), page(stories))
    if found:
        raise click.ClickException("the page shows what is not printed:\n" + "\n".join(found))
    click.echo(f"docs/failures.md shows {len(SHOWN)} failures as they are printed")


if __name__ == "__main__":
    main()
